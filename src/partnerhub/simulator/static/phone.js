/* A customer's phone: polls the simulator and shows what changed; everything is built as text, never as markup. */
"use strict";

const phone = document.getElementById("phone");
const waId = phone.dataset.waId;
const base = `/simulator/phones/${waId}`;
const byId = (id) => document.getElementById(id);
const params = new URLSearchParams(location.search);
let numberId = params.get("number") || "";
let revision = -1;
let shown = "";

const TICKS = { received: ["✓✓", "delivered"], read: ["✓✓", "read"], delivered: ["✓✓", "delivered"], played: ["✓✓", "played"] };

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

async function ask(path, body) {
  const response = await fetch(path, body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const found = await response.json();
  if (!response.ok) throw new Error(found.message || "The simulator refused.");
  return found;
}

function complain(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

async function send(message) {
  try {
    await ask(`${base}/messages`, { number_id: numberId, ...message });
    complain("");
    await poll();
  } catch (problem) {
    complain(problem.message);
  }
}

// Chat list -----------------------------------------------------------------------------------------

function showChats(chats) {
  const list = byId("chats");
  const focused = document.activeElement && document.activeElement.dataset.number;
  list.replaceChildren();
  chats.forEach((chat) => {
    const item = make("li");
    const link = make("a");
    link.href = `?number=${chat.number_id}`;
    link.dataset.number = chat.number_id;
    if (chat.number_id === numberId) link.setAttribute("aria-current", "true");
    link.append(make("strong", "", chat.name), make("span", "muted small", chat.display));
    item.append(link);
    list.append(item);
    if (focused === chat.number_id) link.focus();
  });
  const current = chats.find((chat) => chat.number_id === numberId);
  phone.classList.toggle("open", Boolean(current));
  byId("composer").hidden = !current;
  if (current) {
    byId("chat-name").textContent = current.name;
    byId("chat-number").textContent = current.display;
  }
}

let isFollowing = true;

function toEnd() {
  byId("wall").scrollTop = byId("wall").scrollHeight;
}

byId("wall").addEventListener("scroll", () => {
  const wall = byId("wall");
  isFollowing = wall.scrollHeight - wall.scrollTop - wall.clientHeight < 80;
}, { passive: true });

// Bubbles -------------------------------------------------------------------------------------------

function attachment(found) {
  if (found.kind === "image" || found.kind === "sticker") {
    const picture = make("img", found.kind);
    picture.src = found.url;
    picture.alt = found.name;
    // A picture grows the wall after the page was scrolled to its end.
    picture.addEventListener("load", () => { if (isFollowing) toEnd(); });
    return picture;
  }
  if (found.url) {
    const link = make("a", "file", `${found.kind === "link" ? "Link" : found.kind}: ${found.name}`);
    link.href = found.url;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    return link;
  }
  return make("span", "file", found.name);
}

function action(found) {
  if (found.url) {
    const link = make("a", "action", found.label);
    link.href = /^https?:/.test(found.url) ? found.url : "#";
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    return link;
  }
  if (!found.answer) {
    const text = make("span", "action still", found.label);
    if (found.hint) text.append(make("small", "muted", found.hint));
    return text;
  }
  const button = make("button", "action", found.label);
  button.type = "button";
  if (found.hint) button.append(make("small", "muted", found.hint));
  button.addEventListener("click", () => send(found.answer));
  return button;
}

function bubble(found, all) {
  const item = make("article", `bubble ${found.is_mine ? "mine" : "theirs"}${found.problem ? " lost" : ""}`);
  item.dataset.testid = found.is_mine ? "bubble-mine" : "bubble-theirs";
  item.dataset.wamid = found.wamid;
  item.append(make("span", "sr-only", found.is_mine ? "You:" : "Business:"));
  if (found.problem) {
    item.append(make("span", "small", `A message did not arrive: ${found.problem}`));
    return item;
  }
  if (found.quoted) {
    const original = all.find((one) => one.wamid === found.quoted);
    item.append(make("blockquote", "small", original ? original.text || original.template || original.kind : "a message"));
  }
  if (found.attachment) item.append(attachment(found.attachment));
  if (found.title) item.append(make("strong", "", found.title));
  if (found.text) item.append(make("p", "", found.text));
  if (found.footer) item.append(make("span", "muted small", found.footer));
  const foot = make("span", "foot small");
  if (found.template) foot.append(make("span", "muted", found.template));
  const time = make("time", "muted", new Date(found.at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = new Date(found.at * 1000).toISOString();
  foot.append(time);
  const [mark, word] = TICKS[found.status] || ["", found.status];
  if (mark) {
    const tick = make("span", `tick ${word}`, mark);
    tick.setAttribute("aria-hidden", "true");
    tick.dataset.testid = "tick";
    tick.dataset.status = word;
    foot.append(tick, make("span", "sr-only", word));
  }
  item.append(foot);
  const actions = found.actions || [];
  if (actions.length) {
    const block = make("div", "actions");
    actions.forEach((one) => block.append(action(one)));
    item.append(block);
  }
  all.filter((one) => one.reacts_to === found.wamid && one.reaction).slice(-1).forEach((one) => {
    item.append(make("span", "reaction", one.reaction));
  });
  return item;
}

function showBubbles(bubbles) {
  const wall = byId("wall");
  const ready = bubbles.map((found) => JSON.stringify(found));
  if (ready.join() === shown) return;
  shown = ready.join();
  const focused = document.activeElement;
  const place = focused && wall.contains(focused)
    ? [focused.closest(".bubble")?.dataset.wamid, focused.textContent]
    : null;
  wall.replaceChildren(...bubbles.filter((one) => !one.reacts_to).map((one) => bubble(one, bubbles)));
  if (place) {
    const again = [...wall.querySelectorAll(`[data-wamid="${CSS.escape(place[0] || "")}"] .action`)]
      .find((one) => one.textContent === place[1]);
    if (again) again.focus();
  }
  if (isFollowing) toEnd();
  if (bubbles.some((one) => !one.is_mine && one.status === "delivered") && document.visibilityState === "visible") {
    ask(`${base}/opened`, { number_id: numberId }).catch((problem) => complain(problem.message));
  }
}

// Polling -------------------------------------------------------------------------------------------

async function poll() {
  const found = await ask(`${base}?number_id=${encodeURIComponent(numberId)}&revision=${revision}`);
  byId("typing").hidden = !found.is_typing;
  if (found.revision === revision || !found.chats) return;
  revision = found.revision;
  byId("owner").textContent = found.name;
  byId("reachable").checked = found.is_reachable !== false;
  showChats(found.chats);
  showBubbles(found.bubbles || []);
}

async function keepPolling() {
  try {
    await poll();
    complain("");
  } catch {
    complain("The simulator does not answer.");
  }
  setTimeout(keepPolling, document.visibilityState === "visible" ? 600 : 3000);
}

byId("composer").addEventListener("submit", (happening) => {
  happening.preventDefault();
  const text = byId("text").value.trim();
  if (!text) return;
  byId("text").value = "";
  send({ type: "text", content: { body: text } });
});

byId("file").addEventListener("change", async () => {
  const file = byId("file").files[0];
  if (!file) return;
  const family = file.type.split("/")[0];
  const type = ["image", "video", "audio"].includes(family) ? family : "document";
  const url = await new Promise((done) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => done(reader.result));
    reader.readAsDataURL(file);
  });
  byId("file").value = "";
  await send({
    type,
    content: type === "document" ? { filename: file.name } : {},
    file_base64: String(url).split(",")[1] || "",
    mime_type: file.type || "application/octet-stream",
  });
});

byId("reachable").addEventListener("change", async (happening) => {
  await fetch("/simulator/users", {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ wa_id: waId, is_reachable: happening.target.checked }),
  });
});

keepPolling();
