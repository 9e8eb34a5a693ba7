"use strict";
const form = document.getElementById("form");
const state = document.getElementById("state");
const images = Array.from(form.querySelectorAll("fieldset"));
let saved = true;

const labelOf = (image) => image.querySelector("input:checked")?.value ?? "";
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const cell = (text) => `"${text.replaceAll('"', '""')}"`;

function csv() {
  const columns = form.dataset.columns.split(" ");
  const rows = images.map((image) =>
    columns.map((name) => cell(name === "label" ? labelOf(image) : image.dataset[camel(name)]))
  );
  return [columns, ...rows].map((row) => row.join(",") + "\n").join("");
}

function show() {
  const labels = images.map(labelOf);
  images.forEach((image, place) => image.classList.toggle("done", labels[place] !== ""));
  const n = labels.filter((label) => label !== "").length;
  const missing = labels.indexOf("");
  const gap = missing >= 0 && missing < n ? ` Image ${missing + 1} is left out.` : "";
  state.textContent = `${n} of ${images.length} labelled.${gap}`;
}

form.addEventListener("change", () => {
  saved = false;
  show();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv;charset=utf-8" }));
  link.download = form.dataset.file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  saved = true;
});
window.addEventListener("beforeunload", (event) => {
  if (!saved) event.preventDefault();
});
show();
