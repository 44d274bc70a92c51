function read(text) {
  try {
    return JSON.parse(text);
    // ruleid: javascript.reliability.empty-catch
  } catch (error) {}
  return undefined;
}

function clear(storage) {
  try {
    storage.clear();
    // ruleid: javascript.reliability.empty-catch
  } catch (e) {
  }
}

function said(storage) {
  try {
    storage.clear();
    // ok: javascript.reliability.empty-catch
  } catch (e) {
    // Private windows have no storage; there is nothing to clear.
  }
}

function handled(text) {
  try {
    return JSON.parse(text);
    // ok: javascript.reliability.empty-catch
  } catch (e) {
    return undefined;
  }
}
