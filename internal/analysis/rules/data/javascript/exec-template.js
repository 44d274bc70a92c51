const { exec } = require("child_process");

function thumbnail(name, done) {
  // ruleid: javascript.security.exec-template
  exec(`convert ${name} -resize 200x200 thumb.png`, done);
}

function archive(folder, done) {
  // ruleid: javascript.security.exec-template
  exec("tar czf backup.tgz " + folder, done);
}

function disk(done) {
  // ok: javascript.security.exec-template
  exec("df -h | tail -1", done);
}

function lines(text) {
  // ok: javascript.security.exec-template
  return /^(\w+)=(.*)$/.exec(text);
}
