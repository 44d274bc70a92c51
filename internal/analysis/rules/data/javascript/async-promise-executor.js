function load(id) {
  // ruleid: javascript.reliability.async-promise-executor
  return new Promise(async (resolve, reject) => {
    const answer = await fetch(`/orders/${id}`);
    resolve(await answer.json());
  });
}

function wait(store) {
  // ruleid: javascript.reliability.async-promise-executor
  return new Promise(async function (done, fail) {
    done(await store.next());
  });
}

function delay(ms) {
  // ok: javascript.reliability.async-promise-executor
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

async function plain(id) {
  // ok: javascript.reliability.async-promise-executor
  const answer = await fetch(`/orders/${id}`);
  return answer.json();
}
