#!/bin/sh
# Makes regl-scatterplot.min.js and LICENSES.txt from packages of npm: sh bundle.sh
# The versions are fixed here and in package-lock.json; the checksum is in README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/package.json" "$here/package-lock.json" "$work"
cd "$work"
npm ci --ignore-scripts --no-audit --no-fund
cat > entry.js <<'JS'
import createScatterplot from 'regl-scatterplot';
globalThis.createScatterplot = createScatterplot;
JS
node_modules/.bin/esbuild entry.js --bundle --minify --format=iife --target=es2020 \
  --charset=ascii --legal-comments=none --outfile="$here/regl-scatterplot.min.js"
node -e '
const fs = require("fs");
const lock = JSON.parse(fs.readFileSync("package-lock.json")).packages;
const names = Object.keys(lock).filter(path => path && !lock[path].dev && !lock[path].optional)
  .map(path => path.replace(/^.*node_modules\//, ""));
for (const name of [...new Set(names)].sort()) {
  const folder = `node_modules/${name}/`;
  const about = JSON.parse(fs.readFileSync(folder + "package.json"));
  const file = fs.readdirSync(folder).find(one => /^licen[cs]e/i.test(one));
  console.log(`${name} ${about.version}: ${about.license}\n`);
  console.log(file ? fs.readFileSync(folder + file, "utf8").trim() : "(no licence file in the package)");
  console.log("\n" + "-".repeat(80) + "\n");
}' > "$here/LICENSES.txt"
sha256sum "$here/regl-scatterplot.min.js"
