// What a partner's page does with the connect button: hear which numbers were shared, and tell its server.
(() => {
  const { phone } = document.body.dataset;

  const at = (id) => document.getElementById(id);
  const call = async (path, content) => {
    const options = content && {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(content),
    };
    const answer = await fetch(path, options);
    const result = await answer.json();
    if (!answer.ok) throw new Error(result.detail || answer.statusText);
    return result;
  };
  const say = (id, text, wrong = false) => {
    at(id).textContent = text;
    at(id).classList.toggle("wrong", wrong);
  };

  // What the hub says now: asked at the start, after each event and after what the buttons did.
  const WORDS = {
    approved: "is approved. Send it.",
    submitted: "is in Meta's review …",
    pending: "is in Meta's review …",
    rejected: "was rejected by Meta.",
  };
  let asked = 0;
  const refresh = async () => {
    const turn = ++asked;
    try {
      const state = await call("/api/state");
      if (turn !== asked) return; // a later answer knows more
      at("balance").textContent = state.balance;
      at("send-button").disabled = state.template !== "approved";
      if (!state.channel) return;
      const word = WORDS[state.template] || (state.template ? `is ${state.template}.` : "is being created …");
      say("template", `Number ${state.channel} · the template ${word}`, state.template === "rejected");
    } catch (error) {
      say("template", error.message, true);
    }
  };

  // The button reports each run once: from its window, or from this page's address where there was none.
  document.addEventListener("connect-callback", async ({ detail: { client, channels } }) => {
    say("connected", `Client ${client} shared ${channels.join(", ") || "no number"}. Minting a key …`);
    if (!channels.length) return;
    try {
      const minted = await call("/api/connect", { channel: channels[0] });
      say("connected", `Client ${client} · number ${minted.channel} · key ${minted.key} · webhook set.`);
    } catch (error) {
      say("connected", error.message, true);
    }
    refresh();
  });

  const lead = () => { at("phone").href = `${phone}/${at("to").value.replace(/\D/g, "")}`; };
  at("to").addEventListener("input", lead);
  lead();
  at("send").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const result = await call("/api/send", { to: at("to").value });
      say("sent", `Accepted as ${result.messages[0].id}`);
    } catch (error) {
      say("sent", error.message, true);
    }
    refresh();
  });

  const name = (event) => {
    if (event.door === "partner") return event.body.event || "event";
    const value = event.body.entry?.[0]?.changes?.[0]?.value || {};
    if (value.statuses) return `status ${value.statuses[0].status}`;
    if (value.messages) return `message ${value.messages[0].type}`;
    return "change";
  };
  const MOST = 20;
  let newest = 0;
  const show = (event) => {
    const line = document.createElement("li");
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    for (const [text, style] of [
      [name(event), "name"],
      [`${event.door} webhook`, "door"],
      event.is_signed ? ["✓ signature", "signed"] : ["✗ signature", "unsigned"],
    ]) {
      const part = document.createElement("span");
      part.textContent = text;
      part.className = style;
      summary.append(part);
    }
    const content = document.createElement("pre");
    content.tabIndex = 0;
    content.textContent = JSON.stringify(event.body, null, 2);
    details.append(summary, content);
    line.append(details);
    at("events").prepend(line);
    at("no-events").hidden = true;
    while (at("events").childElementCount > MOST) {
      at("events").lastElementChild.remove();
      at("older").hidden = false;
    }
  };
  const poll = async () => {
    try {
      const found = await call(`/api/events?after=${newest}`);
      for (const event of found.reverse()) {
        newest = Math.max(newest, event.number);
        show(event);
      }
      if (found.length) refresh();
    } catch {
      newest = 0; // the site started anew and counts anew
      at("events").replaceChildren();
    } finally {
      setTimeout(poll, 1000);
    }
  };
  refresh();
  poll();
})();
