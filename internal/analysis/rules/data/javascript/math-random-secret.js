function reset(user, mail) {
  // ruleid: javascript.security.math-random-secret
  const token = Math.random().toString(36).slice(2);
  // ruleid: javascript.security.math-random-secret
  user.resetToken = "r-" + Math.random().toString(36);
  mail(user, token);
}

function newSessionId() {
  // ruleid: javascript.security.math-random-secret
  return Math.floor(Math.random() * 1e12).toString(16);
}

function jitter(delay) {
  // ok: javascript.security.math-random-secret
  const wait = delay * (1 + Math.random());
  return wait;
}

function strong() {
  // ok: javascript.security.math-random-secret
  const token = crypto.randomUUID();
  return token;
}
