import os

from flask import Flask, request, send_file, send_from_directory
from werkzeug.utils import secure_filename

app = Flask(__name__)


@app.route("/invoice")
def invoice():
    # ruleid: python.security.path-from-request
    return send_file(os.path.join("/srv/invoices", request.args["name"]))


@app.route("/note")
def note():
    name = request.args.get("name", "welcome")
    # ruleid: python.security.path-from-request
    with open(f"notes/{name}.txt", encoding="utf-8") as file:
        return file.read()


@app.route("/upload", methods=["POST"])
def upload():
    name = secure_filename(request.form["name"])
    # ok: python.security.path-from-request
    with open(os.path.join("uploads", name), "wb") as file:
        file.write(request.files["file"].read())
    return "stored"


@app.route("/safe")
def safe():
    # ok: python.security.path-from-request
    return send_from_directory("/srv/invoices", request.args["name"])
