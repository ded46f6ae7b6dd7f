// What holds for every page: returns what does not.
(width, touch) => {
  const problems = [];
  const check = (ok, problem) => { if (!ok) problems.push(problem); };
  const seen = e => e.checkVisibility({visibilityProperty: true, opacityProperty: true}) && e.getClientRects().length > 0;
  const all = selector => [...document.querySelectorAll(selector)];
  const show = e => e.cloneNode(false).outerHTML;

  check(document.title.trim(), "no title");
  check(document.documentElement.lang, "no lang");
  check(all("h1").filter(seen).length === 1, `${all("h1").length} h1`);
  check(innerWidth === width, `the page is ${innerWidth} px wide, not ${width}`);
  check(document.scrollingElement.scrollWidth <= innerWidth, `scrolls sideways: ${document.scrollingElement.scrollWidth} px`);

  const scrolls = e => e && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  for (const e of all("main *").filter(e => seen(e) && !scrolls(e))) {
    const r = e.getBoundingClientRect();
    check(r.left >= -1 && r.right <= width + 1, "sticks out: " + show(e));
  }
  for (const e of all("input, select, textarea, button")) {
    if (e.type === "hidden") continue;
    const label = [e.ariaLabel, ...[...(e.labels ?? [])].map(l => l.textContent), e.type !== "text" && e.textContent];
    check(label.some(text => text && text.trim()), "no label: " + show(e));
  }
  for (const e of all("img")) check(e.hasAttribute("alt"), "no alt: " + show(e));
  const ids = all("[id]").map(e => e.id);
  check(new Set(ids).size === ids.length, "an id is there twice: " + ids.filter((id, i) => ids.indexOf(id) < i));

  if (touch) {
    for (const e of all("button, .button, [role=button], input:not([type=hidden]), nav a").filter(seen)) {
      check(e.getBoundingClientRect().height >= 43.9, `${e.getBoundingClientRect().height} px high: ${show(e)}`);
    }
  }
  // What a tab loaded before it was watched.
  for (const e of performance.getEntries()) {
    check(!e.name.includes("://") || e.name.startsWith("http://127.0.0.1:"), "beyond loopback: " + e.name);
  }
  return problems;
}
