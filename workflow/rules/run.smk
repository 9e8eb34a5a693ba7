# What a run does at its start and prints at its end. A workflow that uses this one as a module calls
# these functions in its own handlers if it likes, as projects of `lpclip init` do.


def start_run():
    """Note who runs in this folder, and start the process whose imports jobs share."""
    note_owner(Path.cwd())
    check_submitted()
    if shares_imports():
        start_job_server()


def wait_for_messages():
    """Wait until what was logged is printed: plugins print it in a thread of their own."""
    listener = getattr(getattr(workflow, "logger_manager", None), "queue_listener", None)
    if listener is not None:
        messages = listener.queue
        with messages.all_tasks_done:
            messages.all_tasks_done.wait_for(lambda: not messages.unfinished_tasks, timeout=5)


def print_summary():
    """Print the table of results."""
    wait_for_messages()
    if Path(rules.report.output[0]).is_file():
        shell("lpclip summary {rules.report.output[0]:q}")


def print_failures():
    """Print why jobs failed; of an error that the logger plugin has printed already, where its log is."""
    wait_for_messages()
    for path, reason in failures(Path(rules.report.log[0]).parent, since=STARTED).items():
        if was_shown(path):
            print(f"Error of a failed job, printed above: {path}", file=sys.stderr)
        else:
            print(f"\n{visible(reason)}\n(log: {path})", file=sys.stderr)
