import ast

from flask import Flask, request

app = Flask(__name__)


@app.route("/discount")
def discount():
    # ruleid: python.security.eval-of-request
    return str(eval(request.args["formula"]))


@app.route("/report", methods=["POST"])
def report():
    formula = request.form.get("formula", "0")
    code = "total * " + formula
    # ruleid: python.security.eval-of-request
    return str(eval(code, {"total": 100}))


@app.route("/number")
def number():
    percent = int(request.args["percent"])
    # ok: python.security.eval-of-request
    return str(eval(f"100 * {percent}"))


@app.route("/list")
def as_data():
    # ok: python.security.eval-of-request
    return str(ast.literal_eval(request.args["list"]))
