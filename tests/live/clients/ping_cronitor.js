// cronitor for Node.js: the host is all that changes. Arguments: the service's URL, a key that creates.
const assert = require("assert");
const [url, key] = process.argv.slice(2);
const cronitor = require("cronitor")(key);
const theirs = cronitor._api.pingUrl;
cronitor._api.pingUrl = (name) => theirs(name).replace("https://cronitor.link", url);

(async () => {
  const monitor = new cronitor.Monitor("new-node");
  assert(await monitor.ping({ message: "only a message" }));
  assert(await monitor.ping({ state: "run", series: "s-1" }));
  assert(await monitor.ping({ state: "complete", series: "s-1", metrics: { count: 3, duration: 90 } }));
  assert(await monitor.ping({ state: "fail", message: "disk full" }));
  assert(await monitor.ok({ message: "ok" }));
})();
