// <wa-preview form="id">: redraws the message the server rendered while the person types into that form. Fields name
// their place by data-preview="header|body|footer|button" (a button field may repeat), samples for {{1}} by
// data-sample="1". The same marks as in `formats.whatsapp_text`: *bold*, _italic_, ~struck~, ```mono```.
const MARKS = [
  [/```([^`]+)```/, "code"],
  [/(?<![\p{L}\p{N}*])\*(\S(?:[^*\n]*\S)?)\*(?![\p{L}\p{N}*])/u, "b"],
  [/(?<![\p{L}\p{N}_])_(\S(?:[^_\n]*\S)?)_(?![\p{L}\p{N}_])/u, "i"],
  [/(?<![\p{L}\p{N}~])~(\S(?:[^~\n]*\S)?)~(?![\p{L}\p{N}~])/u, "s"],
  [/\{\{\s*(\w+)\s*\}\}/, "mark"],
];

function pieces(text, samples) {
  let first = null;
  for (const [pattern, tag] of MARKS) {
    const match = pattern.exec(text);
    if (match && (first === null || match.index < first.match.index)) first = { match, tag };
  }
  if (!first) return text ? [text] : [];
  const { match, tag } = first;
  const element = document.createElement(tag);
  if (tag === "mark") element.append(samples[match[1]] || match[0]);
  else if (tag === "code") element.append(match[1]);
  else element.append(...pieces(match[1], samples));
  const rest = text.slice(match.index + match[0].length);
  return [...pieces(text.slice(0, match.index), samples), element, ...pieces(rest, samples)].filter((p) => p !== "");
}

class Preview extends HTMLElement {
  connectedCallback() {
    this.listener = (event) => {
      if (event.target.form?.id === this.getAttribute("form")) this.draw(event.target.form);
    };
    document.addEventListener("input", this.listener);
    const form = document.getElementById(this.getAttribute("form"));
    if (form) this.draw(form);
  }

  disconnectedCallback() {
    document.removeEventListener("input", this.listener);
  }

  draw(form) {
    const fields = [...form.elements];
    const samples = Object.fromEntries(
      fields.filter((f) => f.dataset.sample).map((f) => [f.dataset.sample, f.value]),
    );
    for (const part of ["header", "body", "footer"]) {
      const place = this.querySelector(`[data-part-of="${part}"]`);
      const field = fields.find((f) => f.dataset.preview === part);
      if (!place || !field) continue;
      place.hidden = field.value.trim() === "";
      place.replaceChildren(...pieces(field.value, samples));
    }
    const list = this.querySelector('[data-part-of="buttons"]');
    const buttons = fields.filter((f) => f.dataset.preview === "button");
    if (list && buttons.length) {
      const shown = buttons.map((f) => f.value.trim()).filter(Boolean);
      list.hidden = shown.length === 0;
      list.replaceChildren(...shown.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    }
  }
}

customElements.define("wa-preview", Preview);
