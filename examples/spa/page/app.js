// The page asks the back end for everything and believes nothing in its URL.
const element = id => document.getElementById(id);
const main = document.querySelector("main");
let token; // the record of the connected wallet

// ask fetches JSON: with a body it is a POST. A refusal is an Error whose
// message is the back end's word for it.
async function ask(path, body) {
  const answer = await fetch(path, body === undefined ? {headers: {Accept: "application/json"}} : {
    method: "POST",
    headers: {Accept: "application/json", "Content-Type": "application/json"},
    body: JSON.stringify(body),
  });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(data.error ?? "internal");
  return data;
}

function say(text, good = false) {
  element("said").textContent = text;
  element("said").classList.toggle("good", good);
}

const sayings = {
  outcome_unknown: "The wallet service did not answer. Press the button again: you pay once at most.",
  no_token: "The wallet is not connected any more. Nothing was charged.",
  unauthenticated: "This browser is not signed in any more. Please load the page again.",
  not_found: "That sign-up belongs to another browser.",
  refused: "The wallet service refused. Nothing was charged.",
};

const sleep = ms => new Promise(done => setTimeout(done, ms));

// show draws the page for how things stand.
async function show() {
  const [{wallets, price}, {tokens}] = await Promise.all([ask("/api/me"), ask("/wallet/status")]);
  token = tokens.findLast(each => each.status === "active");
  element("wallet").replaceChildren(...wallets.map(wallet => new Option(wallet)));
  element("price").textContent = price;
  element("leave").hidden = true;
  element("connect").hidden = Boolean(token);
  element("connected").hidden = !token;
  if (!token) return;
  element("name").textContent = token.wallet;
  element("buy").textContent = `Buy for ${price}`;
  element("disconnect").textContent = `Disconnect ${token.wallet}`;
}

// once runs work unless other work is under way, and tells what went wrong.
async function once(work) {
  if (main.ariaBusy === "true") return;
  main.ariaBusy = "true";
  try {
    await work();
  } catch (error) {
    say(sayings[error.message] ?? "That did not work. Please try again in a minute.");
    if (error.message === "no_token" || error.message === "not_found") await show().catch(() => {});
  } finally {
    main.ariaBusy = "false";
  }
}

async function connect() {
  say("Taking you to the wallet.");
  const {authUrl} = await ask("/wallet/signup", {wallet: element("wallet").value});
  location.href = authUrl;
}

// cameBack waits until the record says how the sign-up ended. The kit asks the
// gateway in turn when a notification is late.
async function cameBack(id) {
  for (let round = 0; round < 200; round++) {
    const {wallet, status} = await ask(`/wallet/status/${encodeURIComponent(id)}`);
    if (status !== "pending") {
      history.replaceState(null, "", "/");
      await show();
      say(status === "active" ? `${wallet} is connected.` : `${wallet} is not connected. Nothing was charged.`, status === "active");
      element(status === "active" ? "buy" : "wallet").focus();
      return;
    }
    say(`Waiting for ${wallet} to confirm.`);
    element("leave").hidden = false;
    await sleep(1500);
  }
  say("The wallet has not confirmed. If you agreed there, it will still appear here.");
  await show();
}

// buy keeps the order's number until it knows the end, also over a reload.
async function buy() {
  const order = sessionStorage.getItem("order") ?? crypto.randomUUID();
  sessionStorage.setItem("order", order);
  say("Paying.");
  const {outcome, amount} = await ask("/api/buy", {order});
  if (outcome === "pending") {
    say("The wallet is still working on it. Press the button again to ask: you pay once at most.");
    return;
  }
  sessionStorage.removeItem("order");
  say(outcome === "succeeded" ? `Paid ${amount}. Your tea is on its way.` : "The wallet declined. Nothing was charged.", outcome === "succeeded");
}

async function disconnect() {
  const {wallet, status} = await ask("/wallet/unbind", {id: token.id});
  await show();
  say(status === "unbound" ? `${wallet} is disconnected.` : `${wallet} is being disconnected. It is not charged any more.`, true);
  element("wallet").focus();
}

element("connect").addEventListener("submit", event => {
  event.preventDefault();
  once(connect);
});
element("buy").addEventListener("click", () => once(buy));
element("disconnect").addEventListener("click", () => once(disconnect));
// Back from the wallet's page by the back button: the page is as it was left.
addEventListener("pageshow", event => { if (event.persisted) location.reload(); });

const [, id] = location.pathname.match(/^\/connected\/([^/]+)$/) ?? [];
once(() => id ? cameBack(id) : show());
