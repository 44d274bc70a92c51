import os
import shlex
import subprocess


def thumbnail(name):
    # ruleid: python.security.shell-true
    subprocess.run(f"convert {name} -resize 200x200 thumb.png", shell=True, check=True)


def archive(folder):
    # ruleid: python.security.shell-true
    os.system("tar czf backup.tgz " + folder)


def label(order_id):
    command = "lp -d labels %s.pdf" % order_id
    # ruleid: python.security.shell-true
    subprocess.check_call(command, shell=True)


def fixed():
    # ok: python.security.shell-true
    subprocess.run("df -h | tail -1", shell=True, check=True)


def as_list(name):
    # ok: python.security.shell-true
    subprocess.run(["convert", name, "-resize", "200x200", f"{name}.png"], check=True)


def one_program(name):
    # ok: python.security.shell-true
    subprocess.run(f"/opt/tools/{name}", check=True)
