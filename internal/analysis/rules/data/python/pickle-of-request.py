import base64
import json
import pickle

from flask import Flask, request

app = Flask(__name__)


@app.route("/basket", methods=["POST"])
def basket():
    # ruleid: python.security.pickle-of-request
    return str(pickle.loads(request.get_data()))


@app.route("/last")
def last():
    text = request.cookies.get("last", "")
    raw = base64.b64decode(text)
    # ruleid: python.security.pickle-of-request
    return str(pickle.loads(raw))


@app.route("/json", methods=["POST"])
def as_json():
    # ok: python.security.pickle-of-request
    return str(json.loads(request.get_data()))


def own(path):
    with open(path, "rb") as file:
        # ok: python.security.pickle-of-request
        return pickle.load(file)
