// Keyboard: Ctrl/Cmd-K opens the palette, "?" the list of shortcuts; sequences such as "g n" go where an entry says,
// unless the person switched them off (data-shortcuts="off" on <body>). The entries come as JSON in data-items, written
// by the server; one with "press" presses the frame's button of that data-press. With data-search, what is typed is
// also asked of the server.
const palette = () => document.getElementById("palette");
let entries = [];
let found = [];
let asked = 0;
let state = "none";
let prefix = "";
let prefixTimer;

const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function matches(item, query) {
  const text = fold(`${item.label} ${item.group ?? ""}`);
  return fold(query).split(/\s+/).every((word) => text.includes(word));
}

function option(item, index) {
  const row = make("div", { role: "option", id: `palette-${index}`, "aria-selected": "false" });
  if (item.press) row.dataset.presses = item.press;
  else row.dataset.href = item.href;
  row.append(make("span", {}, item.label));
  if (item.hint) row.append(make("span", { class: "mono" }, item.hint));
  else if (item.keys && document.body.dataset.shortcuts !== "off") {
    row.append(make("span", {}, ...item.keys.split(" ").map((key) => make("kbd", { class: "kbd" }, key))));
  }
  return row;
}

function draw() {
  const dialog = palette();
  const query = dialog.querySelector("input").value.trim();
  const list = dialog.querySelector('[role="listbox"]');
  const shown = [...entries.filter((item) => matches(item, query)), ...found];
  const groups = Map.groupBy ? Map.groupBy(shown, (item) => item.group ?? "") : group(shown);
  list.replaceChildren();
  let index = 0;
  for (const [name, items] of groups) {
    const box = make("div", { role: "group" });
    if (name) {
      box.setAttribute("aria-label", name);
      box.append(make("span", { role: "presentation" }, name));
    }
    for (const item of items) box.append(option(item, index++));
    list.append(box);
  }
  list.hidden = index === 0;
  const note = dialog.querySelector(":scope > p");
  note.textContent = note.dataset[state];
  note.hidden = index > 0 && state === "none";
  select(0);
}

function group(items) {
  const groups = new Map();
  for (const item of items) groups.set(item.group ?? "", [...(groups.get(item.group ?? "") ?? []), item]);
  return groups;
}

function select(index) {
  const dialog = palette();
  const options = [...dialog.querySelectorAll('[role="option"]')];
  const input = dialog.querySelector("input");
  input.removeAttribute("aria-activedescendant");
  if (!options.length) return;
  const at = (index + options.length) % options.length;
  options.forEach((row, place) => row.setAttribute("aria-selected", String(place === at)));
  input.setAttribute("aria-activedescendant", options[at].id);
  options[at].scrollIntoView({ block: "nearest" });
}

const selected = () => palette().querySelector('[aria-selected="true"]');

function go(row) {
  if (!row) return;
  palette().close();
  const { presses } = row.dataset;
  if (presses) return document.querySelector(`[data-press="${presses}"]`)?.click();
  const link = [...document.querySelectorAll(".sidebar a, .menu a")].find((a) => a.getAttribute("href") === row.dataset.href);
  if (link) link.click();
  else location.assign(row.dataset.href);
}

function openPalette() {
  const dialog = palette();
  if (!dialog || dialog.open) return;
  entries = JSON.parse(dialog.dataset.items || "[]");
  found = [];
  state = "none";
  dialog.querySelector("input").value = "";
  dialog.showModal();
  draw();
}

async function ask(query) {
  const { search } = palette().dataset;
  const turn = ++asked;
  if (!search || query.length < 2) return;
  let got = null;
  try {
    const answer = await fetch(`${search}?q=${encodeURIComponent(query)}`, { headers: { accept: "application/json" } });
    // Whoever is signed out meanwhile gets the sign-in page.
    if (answer.ok && !answer.redirected) got = await answer.json();
  } catch {
    // Told below.
  }
  if (turn !== asked) return;
  found = got ?? [];
  state = got ? "none" : "failed";
  if (palette()?.open) draw();
}

let askTimer;
document.addEventListener("input", (event) => {
  const dialog = palette();
  if (!dialog?.contains(event.target)) return;
  clearTimeout(askTimer);
  const query = event.target.value.trim();
  const asks = dialog.dataset.search && query.length > 1;
  found = [];
  state = asks ? "waiting" : "none";
  // What was asked before is not wanted any more.
  asked++;
  if (asks) askTimer = setTimeout(() => ask(query), 150);
  draw();
});

document.addEventListener("pointermove", (event) => {
  const row = palette()?.open && event.target.closest?.('#palette [role="option"]');
  if (row && row.ariaSelected !== "true") select([...palette().querySelectorAll('[role="option"]')].indexOf(row));
});

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-palette]")) return openPalette();
  const dialog = palette();
  if (!dialog?.open) return;
  if (event.target === dialog) dialog.close();
  else go(event.target.closest('[role="option"]'));
});

const typing = (element) => element?.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element?.tagName ?? "");

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
    if (!palette()) return;
    event.preventDefault();
    return palette().open ? palette().close() : openPalette();
  }
  if (palette()?.open) {
    const options = [...palette().querySelectorAll('[role="option"]')];
    const at = options.indexOf(selected());
    if (event.key === "ArrowDown") select(at + 1);
    else if (event.key === "ArrowUp") select(at - 1);
    else if (event.key === "Enter") go(selected());
    else return;
    return event.preventDefault();
  }
  shortcut(event);
});

function shortcut(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.key.length !== 1) return;
  if (document.body.dataset.shortcuts === "off" || typing(event.target) || document.querySelector("dialog[open]")) return;
  const items = JSON.parse(palette()?.dataset.items || "[]");
  if (event.key === "?" && !prefix) {
    document.querySelector('[data-press="shortcuts"]')?.click();
    return;
  }
  if (event.key === "/" && !prefix) {
    const search = document.querySelector('main input[type="search"]');
    if (search) {
      event.preventDefault();
      search.focus();
    }
    return;
  }
  const keys = prefix ? `${prefix} ${event.key}` : event.key;
  const hit = items.find((item) => item.keys === keys);
  clearTimeout(prefixTimer);
  prefix = "";
  if (hit) {
    event.preventDefault();
    location.assign(hit.href);
  } else if (items.some((item) => item.keys?.startsWith(`${keys} `))) {
    prefix = keys;
    prefixTimer = setTimeout(() => (prefix = ""), 1200);
  }
}
