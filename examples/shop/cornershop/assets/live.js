// Keeps main up to date: every two seconds while something is under way
// (data-live), and when its tab is looked at again (data-refresh). What became
// different is said to screen readers (data-say). Pages work without it: they
// reload.
const current = () => document.getElementById("main");
const sayings = main => [...main.querySelectorAll("[data-say]")].map(e => e.dataset.say + ": " + e.textContent.trim());

async function refresh() {
  let next;
  try {
    const answer = await fetch(location.href, {headers: {Accept: "text/html"}});
    next = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return; // the next round tries again
  }
  const main = next.getElementById("main");
  if (!main || main.outerHTML === current().outerHTML) return;
  const known = new Set(sayings(current()));
  const focused = document.activeElement?.id;
  current().replaceWith(main);
  document.title = next.title;
  document.getElementById("said").textContent = sayings(main).filter(each => !known.has(each)).join(". ");
  if (focused) document.getElementById(focused)?.focus({preventScroll: true});
}

setInterval(() => {
  if (current().dataset.live !== undefined && !document.hidden) refresh();
}, 2000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && current().dataset.refresh !== undefined) refresh();
});
