/* The sign-up dialog: steps in one page, calls to the simulator, messages to the window that opened it. */
"use strict";

const setup = JSON.parse(document.getElementById("setup").textContent);
const byId = (id) => document.getElementById(id);
const opener = window.opener;
const steps = [...document.querySelectorAll(".step")];
const order = steps.map((step) => step.dataset.step).filter((name) => name !== "DONE");
let current = "";
let isOver = false;
let verified = null;
let numberCode = "";

// Messages ------------------------------------------------------------------------------------------

function tell(message) {
  if (opener && setup.origin) opener.postMessage(JSON.stringify(message), setup.origin);
}

function answer(code) {
  const text = new URLSearchParams({ cb: setup.channel, domain: location.hostname });
  if (code) text.set("code", code);
  else text.set("error", "access_denied");
  if (opener && setup.origin) opener.postMessage(text.toString(), setup.origin);
}

function leave() {
  isOver = true;
  // The message must leave before the window does.
  setTimeout(() => window.close(), 50);
}

function cancel(step) {
  if (isOver) return;
  tell({ data: { current_step: step }, type: "WA_EMBEDDED_SIGNUP", event: "CANCEL", version: setup.version });
  answer(null);
  leave();
}

function report() {
  const data = {
    error_message: byId("error-message").value,
    error_id: byId("error-id").value,
    session_id: crypto.randomUUID ? crypto.randomUUID() : String(Math.random()),
    timestamp: String(Math.floor(Date.now() / 1000)),
  };
  tell({ data, type: "WA_EMBEDDED_SIGNUP", event: "CANCEL", version: setup.version });
  answer(null);
  leave();
}

// Talking to the simulator --------------------------------------------------------------------------

async function ask(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const found = await response.json();
  if (!response.ok) throw new Error(found.message || "The simulator refused.");
  return found;
}

function complain(text, input) {
  const place = byId("problem");
  place.textContent = text;
  place.hidden = !text;
  document.querySelectorAll("[aria-invalid]").forEach((one) => one.removeAttribute("aria-invalid"));
  if (text && input) {
    input.setAttribute("aria-invalid", "true");
    input.focus();
  }
}

// Steps ---------------------------------------------------------------------------------------------

const event = () => byId("forced-event").value || setup.event;
const hasNumber = () => event() !== "FINISH_ONLY_WABA";
const existingNumber = () => (hasNumber() ? byId("existing-number").value : "");
const preverified = () => byId("preverified").value;

function isSkipped(step) {
  switch (step) {
    case "WHATSAPP_BUSINESS_PROFILE_SETUP":
      return Boolean(byId("waba").value && (existingNumber() || !hasNumber()));
    case "PHONE_NUMBER_SETUP":
      return !hasNumber() || Boolean(existingNumber());
    case "PHONE_NUMBER_VERIFICATION":
      return !hasNumber() || Boolean(existingNumber() || preverified());
    default:
      return false;
  }
}

function show(name) {
  current = name;
  complain("");
  steps.forEach((step) => { step.hidden = step.dataset.step !== name; });
  const place = name === "DONE" ? order.length : order.indexOf(name);
  [...byId("steps").children].forEach((mark, at) => mark.classList.toggle("done", at <= place));
  if (name === "WABA_PHONE_PROFILE_PICKER") fillWabas();
  if (name === "WHATSAPP_BUSINESS_PROFILE_SETUP") {
    byId("waba-name-field").hidden = Boolean(byId("waba").value);
    byId("profile-fields").hidden = !hasNumber();
    const business = businessName();
    if (!byId("waba-name").value) byId("waba-name").value = business;
    if (!byId("display-name").value) byId("display-name").value = business;
  }
  if (name === "PHONE_NUMBER_SETUP") toggleNumber();
  if (name === "PERMISSIONS") review();
  const heading = document.querySelector(`[data-step="${name}"] h1`);
  heading.focus();
}

function move(by) {
  let at = order.indexOf(current) + by;
  while (at >= 0 && at < order.length && isSkipped(order[at])) at += by;
  if (at >= 0 && at < order.length) show(order[at]);
}

// Contents ------------------------------------------------------------------------------------------

function option(select, value, label) {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = label;
  select.append(made);
}

function refill(select, entries) {
  const before = select.value;
  select.replaceChildren();
  entries.forEach(([value, label]) => option(select, value, label));
  if (entries.some(([value]) => value === before)) select.value = before;
}

function businessName() {
  const chosen = setup.businesses.find((one) => one.id === byId("business").value);
  return chosen ? chosen.name : byId("business-name").value;
}

function fillBusinesses() {
  refill(byId("business"), [["", "Create a new business portfolio"], ...setup.businesses.map((one) => [one.id, one.name])]);
  toggleBusiness();
}

function toggleBusiness() {
  byId("new-business").hidden = Boolean(byId("business").value);
}

function fillWabas() {
  const business = byId("business").value;
  const found = setup.wabas.filter((one) => one.businessId === business);
  refill(byId("waba"), [["", "Create a new WhatsApp Business account"], ...found.map((one) => [one.id, one.name])]);
  fillNumbers();
}

function fillNumbers() {
  const found = setup.numbers.filter((one) => one.wabaId === byId("waba").value);
  refill(byId("existing-number"), [["", "Add a new number"], ...found.map((one) => [one.id, `${one.label} · ${one.name}`])]);
  byId("existing-number-field").hidden = !byId("waba").value || !found.length || !hasNumber();
}

function toggleNumber() {
  byId("preverified-field").hidden = !setup.preverified.length;
  byId("number-fields").hidden = Boolean(preverified());
  const isApp = event() === "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING";
  byId("method-field").hidden = isApp;
  byId("number-help").textContent = isApp
    ? "Enter the number you use in the WhatsApp Business app. The app shows a code to confirm."
    : "Enter the number with its country code. A code proves that it is yours.";
}

function review() {
  const waba = setup.wabas.find((one) => one.id === byId("waba").value);
  const known = setup.numbers.find((one) => one.id === existingNumber());
  const lent = setup.preverified.find((one) => one.id === preverified());
  byId("review-business").textContent = businessName();
  byId("review-waba").textContent = waba ? waba.name : byId("waba-name").value || businessName();
  byId("review-number").textContent = !hasNumber()
    ? "none"
    : known ? known.label : lent ? lent.label : byId("phone-number").value;
}

function prefill() {
  const { business = {}, phone = {}, whatsAppBusinessProfile = {} } = setup.prefill;
  byId("business-name").value = business.name || "";
  byId("website").value = business.website || "";
  const country = (business.address || {}).country;
  if (country && [...byId("country").options].some((one) => one.value === country)) byId("country").value = country;
  if (business.timezone && [...byId("timezone").options].some((one) => one.value === business.timezone)) {
    byId("timezone").value = business.timezone;
  }
  byId("display-name").value = phone.displayName || whatsAppBusinessProfile.displayName || "";
  byId("description").value = phone.description || whatsAppBusinessProfile.description || "";
  if (phone.category && [...byId("category").options].some((one) => one.value === phone.category)) {
    byId("category").value = phone.category;
  }
  const number = business.phone;
  if (number) byId("phone-number").value = `+${number.code || ""}${number.number || ""}`;
  refill(byId("preverified"), [...setup.preverified.map((one) => [one.id, one.label]), ["", "Use my own number"]]);
  if (setup.preverified.length) byId("preverified").value = setup.preverified[0].id;
}

// What the buttons do -------------------------------------------------------------------------------

async function sendCode() {
  const method = document.querySelector("input[name=method]:checked").value;
  const sent = await ask("/dialog/code", {
    phone_number: byId("phone-number").value,
    waba_id: byId("waba").value || null,
    method,
  });
  byId("sent-to").textContent = `+${sent.digits}`;
  byId("sms-code").textContent = `${sent.code.slice(0, 3)}-${sent.code.slice(3)}`;
  byId("sms-kind").textContent = {
    FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING: "Shown by the WhatsApp Business app",
  }[event()] || (method === "SMS" ? "Text message to this number" : "Spoken in a call to this number");
}

const advance = {
  async BUSINESS_ACCOUNT_SELECTION() {
    const input = byId("business-name");
    if (!byId("business").value && !input.value.trim()) return complain("Enter the name of the business.", input);
    move(1);
  },
  async WABA_PHONE_PROFILE_PICKER() {
    move(1);
  },
  async WHATSAPP_BUSINESS_PROFILE_SETUP() {
    const input = byId("display-name");
    if (hasNumber() && !input.value.trim()) return complain("Enter a display name.", input);
    move(1);
  },
  async PHONE_NUMBER_SETUP() {
    if (!preverified()) {
      try {
        await sendCode();
      } catch (problem) {
        return complain(problem.message, byId("phone-number"));
      }
    }
    move(1);
  },
  async PHONE_NUMBER_VERIFICATION() {
    try {
      await ask("/dialog/verify", { phone_number: byId("phone-number").value, code: byId("code").value });
    } catch (problem) {
      return complain(problem.message, byId("code"));
    }
    numberCode = byId("code").value;
    move(1);
  },
  async PERMISSIONS() {
    verified = await finish();
    if (verified) show("DONE");
  },
};

function chosenNumber() {
  if (!hasNumber()) return null;
  if (existingNumber()) return { id: existingNumber() };
  const described = {
    display_name: byId("display-name").value,
    category: byId("category").value,
    description: byId("description").value,
    website: byId("website").value,
    pin: byId("existing-pin").value || null,
  };
  if (preverified()) return { ...described, preverified_id: preverified() };
  return { ...described, phone_number: byId("phone-number").value, code: numberCode };
}

async function finish() {
  try {
    return await ask("/dialog/finish", {
      app_id: setup.appId,
      event: event(),
      version: setup.version,
      business: byId("business").value ? { id: byId("business").value } : { name: byId("business-name").value },
      waba: byId("waba").value
        ? { id: byId("waba").value }
        : { name: byId("waba-name").value, timezone: byId("timezone").value, country: byId("country").value },
      number: chosenNumber(),
    });
  } catch (problem) {
    complain(problem.message);
    return null;
  }
}

function hand(over) {
  if (!verified || isOver) return;
  if (over.message) tell(verified.message);
  answer(over.code ? verified.code : null);
  leave();
}

async function endHere(over) {
  verified = verified || (await finish());
  if (verified) hand(over);
}

steps.forEach((step) => {
  step.addEventListener("submit", async (happening) => {
    happening.preventDefault();
    const button = step.querySelector(".button:not(.plain)");
    if (button.disabled) return;
    button.disabled = true;
    try {
      await advance[step.dataset.step]();
    } finally {
      button.disabled = false;
    }
  });
  step.querySelectorAll("[data-back]").forEach((button) => button.addEventListener("click", () => move(-1)));
});
byId("business").addEventListener("change", toggleBusiness);
byId("waba").addEventListener("change", fillNumbers);
byId("preverified").addEventListener("change", toggleNumber);
byId("forced-event").addEventListener("change", () => { fillNumbers(); toggleNumber(); });
byId("resend").addEventListener("click", () => sendCode().catch((problem) => complain(problem.message)));
byId("cancel").addEventListener("click", () => cancel(current === "DONE" ? "PERMISSIONS" : current));
byId("close").addEventListener("click", () => hand({ message: true, code: true }));
byId("force-cancel").addEventListener("click", () => cancel(byId("cancel-step").value));
byId("force-error").addEventListener("click", report);
byId("finish-silent").addEventListener("click", () => endHere({ message: false, code: true }));
byId("finish-codeless").addEventListener("click", () => endHere({ message: true, code: false }));
window.addEventListener("pagehide", () => {
  // Closing the window at the last page is finishing; closing it earlier is leaving.
  if (isOver) return;
  if (current === "DONE") hand({ message: true, code: true });
  else cancel(current);
});

byId("orphan").hidden = Boolean(opener);
order.forEach(() => byId("steps").append(document.createElement("li")));
fillBusinesses();
prefill();
show(order[0]);
