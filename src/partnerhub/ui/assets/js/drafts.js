// Where a page has several forms, sending one leaves the page with whatever was typed into the others. A form with
// data-draft gets its text back when the page comes again; what stood in the field before comes with it (`seen_…`), so
// that the server still sees what somebody else saved meanwhile.
const KEY = "drafts";
const KEPT_MS = 60_000;

// Where the browser keeps nothing for this site, even asking for its storage throws.
function storage() {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

const KINDS = ["text", "url", "email", "number", "textarea", "select-one", "checkbox"];

const fields = (form) => [...form.elements].filter((field) => field.name && KINDS.includes(field.type));

function stored(field) {
  if (field.type === "checkbox") return field.defaultChecked ? "on" : "";
  if (field instanceof HTMLSelectElement) return [...field.options].find((option) => option.defaultSelected)?.value ?? "";
  return field.defaultValue;
}

const typed = (field) => (field.type === "checkbox" ? (field.checked ? "on" : "") : field.value);

document.addEventListener("submit", (event) => {
  const drafts = {};
  for (const form of document.querySelectorAll("form[data-draft]")) {
    const changed = fields(form).filter((field) => typed(field) !== stored(field));
    if (form !== event.target && changed.length) {
      drafts[form.getAttribute("action")] = changed.map((field) => [field.name, typed(field), stored(field)]);
    }
  }
  if (Object.keys(drafts).length) storage()?.setItem(KEY, JSON.stringify({ at: Date.now(), drafts }));
  else storage()?.removeItem(KEY);
});

const { at = 0, drafts = {} } = JSON.parse(storage()?.getItem(KEY) ?? "{}");
const forms = [...document.querySelectorAll("form[data-draft]")].filter((form) => form.getAttribute("action") in drafts);
if (forms.length || Date.now() - at > KEPT_MS) storage()?.removeItem(KEY);
for (const form of Date.now() - at > KEPT_MS ? [] : forms) {
  for (const [name, text, before] of drafts[form.getAttribute("action")]) {
    const field = form.elements[name];
    if (!field) continue;
    if (field.type === "checkbox") field.checked = text === "on";
    else field.value = text;
    const seen = form.elements[`seen_${name}`];
    if (seen) seen.value = before;
  }
}
