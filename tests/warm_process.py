"""Run many commands as processes of their own without importing torch and Lightning in each.

A server imports them once. For each command it forks, and the new process runs it in its own folder, with its own
environment, arguments and standard streams, as a started one would. One command follows the other, so a pipe between
two of them would wait forever.

    python -m tests.warm_process SOCKET
"""

import json
import os
import socket
import sys
import traceback
from pathlib import Path

CLIENT = """#!{python} -IS
import json, os, socket, sys
verb, *rest = sys.argv[1:]
added = [] if {{"--help", "--cfg"}} & set(rest) else {tiny!r}.get(verb, [])
keys = {{word.partition("=")[0] for word in rest}}
added = [a for a in added if a != "debug=smoke" or "debug" not in keys]
added += [f"{{key}}={{value}}" for key, value in {budgets!r}.items() if key in keys]
server = socket.socket(socket.AF_UNIX)
server.connect({socket!r})
asked = json.dumps([[verb, *rest, *added], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [b"%8d" % len(asked)], [0, 1, 2])
server.sendall(asked)
sys.exit(int(server.recv(8) or b"1"))
"""


def serve(address: str) -> None:
    """Wait for commands, and run each in a fork of this process. One follows the other."""
    from bert_lightning import cli
    from bert_lightning.verbs import compare, finetune, predict, pretrain, study  # noqa: F401

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    while True:
        connection = listener.accept()[0]
        size, streams, *_ = socket.recv_fds(connection, 8, 3)
        content = b""
        while len(content) < int(size):
            content += connection.recv(1 << 16)
        if (child := os.fork()) == 0:
            _run(cli.main, *json.loads(content), streams)
        for stream in streams:
            os.close(stream)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(b"%d" % (code if code >= 0 else 128 - code))
        connection.close()


def _run(main, arguments, folder, environment, streams):
    """Become the process of a command: never return."""
    code = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["bert-lightning", *arguments]
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def write_program(folder: Path, address: Path, tiny: dict, budgets: dict) -> None:
    """Write a program `bert-lightning` that lets the server run its command with tiny settings added."""
    program = folder / "bert-lightning"
    text = CLIENT.format(python=sys.executable, tiny=tiny, budgets=budgets, socket=str(address))
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)


if __name__ == "__main__":
    serve(sys.argv[1])
