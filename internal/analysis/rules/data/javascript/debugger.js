function total(lines) {
  // ruleid: javascript.quality.debugger
  debugger;
  return lines.reduce((sum, line) => sum + line.amount, 0);
}

function first(lines) {
  if (lines.length === 0) {
    // ruleid: javascript.quality.debugger
    debugger;
  }
  return lines[0];
}

function named(tools) {
  // ok: javascript.quality.debugger
  return tools.debugger;
}

function text() {
  // ok: javascript.quality.debugger
  return "debugger;";
}
