/* <partnerhub-connect> 1.1.0: the connect button of a Partner Hub. Apache-2.0.
 *
 * Opens the hub's sign-up in a popup and reports which client shared which numbers. Put the script on the page
 * with the button and on the page that the hub leads back to, which must be of the same origin (it may be the
 * same page). The hub navigates the popup there with ?client=…&channels=[…]; the script in the popup hands that
 * to the page that opened it and closes the popup.
 *
 * Needs no library, evaluates nothing, writes no style attribute and no markup: it runs under
 * `script-src <hub>; require-trusted-types-for 'script'` without further permission.
 */
(() => {
  "use strict";
  const NAME = "partnerhub-connect";
  // A second copy of this file does nothing: one page, one listener, one report.
  if (customElements.get(NAME)) return;

  const WINDOW = "toolbar=no, menubar=no, width=600, height=920, top=100, left=100";
  const MARK = Symbol.for(NAME); // how a popup knows that the page that opened it listens
  const BASE = baseOf(document.currentScript ?? document.querySelector(`script[src*="${NAME}"]`));

  // Attribute → parameter of the link. The number goes first, as every generation of buttons sends it.
  const PARAMETERS = new Map([
    ["requested-number", "number"],
    ["number", "number"],
    ["email", "email"],
    ["name", "name"],
    ["state", "state"],
    ["redirect-url", "redirect_url"],
    ["next", "next"],
    ["plan-selection", "plan_selection"],
    ["lang", "lang"],
    ["partner", "partner"],
    ["client-id", "client_id"],
    ["connect-client-user", "connect_client_user"],
    ["flow", "flow"],
    ["io-signature", "io_signature"],
    ["io-timestamp", "io_timestamp"],
    ["preverified-phone-number-id", "preverified_phone_number_id"],
  ]);

  const WORDS = {
    en: {
      label: "Connect WhatsApp",
      opens: "opens a new window",
      opened: "The sign-up is open in another window.",
      closed: "The window was closed.",
      done: "Connected.",
      waits: "One moment …",
      failed: "The sign-up could not be opened. Please try again.",
      blocked: "Your browser blocked the window.",
      link: "Open the sign-up in a new tab",
      unset: "This button is not set up:",
    },
    de: {
      label: "WhatsApp verbinden",
      opens: "öffnet ein neues Fenster",
      opened: "Die Anmeldung ist in einem anderen Fenster geöffnet.",
      closed: "Das Fenster wurde geschlossen.",
      done: "Verbunden.",
      waits: "Einen Moment …",
      failed: "Die Anmeldung konnte nicht geöffnet werden. Bitte versuchen Sie es noch einmal.",
      blocked: "Ihr Browser hat das Fenster blockiert.",
      link: "Anmeldung in einem neuen Tab öffnen",
      unset: "Diese Schaltfläche ist nicht eingerichtet:",
    },
    es: {
      label: "Conectar WhatsApp",
      opens: "abre una ventana nueva",
      opened: "El registro está abierto en otra ventana.",
      closed: "La ventana se cerró.",
      done: "Conectado.",
      waits: "Un momento…",
      failed: "No se pudo abrir el registro. Inténtelo de nuevo.",
      blocked: "Su navegador bloqueó la ventana.",
      link: "Abrir el registro en una pestaña nueva",
      unset: "Este botón no está configurado:",
    },
    pt: {
      label: "Conectar o WhatsApp",
      opens: "abre uma nova janela",
      opened: "O cadastro está aberto em outra janela.",
      closed: "A janela foi fechada.",
      done: "Conectado.",
      waits: "Um momento…",
      failed: "Não foi possível abrir o cadastro. Tente de novo.",
      blocked: "Seu navegador bloqueou a janela.",
      link: "Abrir o cadastro em uma nova aba",
      unset: "Este botão não está configurado:",
    },
  };

  // light-dark() follows the page's own colour scheme: a page that knows no dark stays light.
  const STYLE = `
    :host {
      display: inline-block; max-width: 100%;
      --ground: #0a6b4f; --hover: #085640; --ink: #fff;
    }
    @supports (color: light-dark(#000, #fff)) {
      :host {
        --ground: light-dark(#0a6b4f, #4cc79a); --hover: light-dark(#085640, #6bd7ae);
        --ink: light-dark(#fff, #06241a);
      }
    }
    :host([hidden]) { display: none; }
    button {
      display: inline-flex; align-items: center; justify-content: center; gap: 0.55em;
      box-sizing: border-box; max-width: 100%; min-height: 2.75em; margin: 0; padding: 0.55em 1.15em;
      font: 600 0.9375rem/1.35 system-ui, sans-serif;
      font-family: var(--partnerhub-connect-font-family, inherit);
      color: var(--partnerhub-connect-color, var(--ink));
      background: var(--partnerhub-connect-background, var(--ground));
      border: var(--partnerhub-connect-border, 1px solid transparent);
      border-radius: var(--partnerhub-connect-radius, 0.5em);
      text-align: center; cursor: pointer; -webkit-tap-highlight-color: transparent;
    }
    button:hover {
      background: var(--partnerhub-connect-background-hover, var(--partnerhub-connect-background, var(--hover)));
    }
    button:focus-visible, a:focus-visible {
      outline: 2px solid var(--partnerhub-connect-focus, var(--ground)); outline-offset: 2px;
    }
    button[aria-disabled="true"] { opacity: 0.55; cursor: not-allowed; }
    svg { flex: none; width: 1.25em; height: 1.25em; }
    p { margin: 0.6em 0 0; font-size: 0.875rem; line-height: 1.45; color: inherit; }
    p[hidden] { display: none; }
    a { color: inherit; font-weight: 600; text-underline-offset: 0.15em; border-radius: 0.2em; }
    .unseen {
      position: absolute; width: 1px; height: 1px; margin: -1px; padding: 0; overflow: hidden;
      clip-path: inset(50%); white-space: nowrap;
    }
    @media (forced-colors: active) { button { border-color: ButtonText; } }
  `;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);

  let run = null; // {popup, url, button}: the window that is open
  let pressed = null; // the button that was pressed last
  let arrived = null; // what the address brought, until a callback took it
  const mounted = new Set();

  function baseOf(script) {
    try {
      return new URL(script.src).origin;
    } catch {
      return ""; // bundled or inlined: the attribute base-url says where the hub is
    }
  }

  // client, channels=[a,b], revoked=[c], state; null where the text is no answer of the hub.
  function read(search) {
    const found = new URLSearchParams(search);
    const client = found.get("client");
    const channels = found.get("channels");
    if (!client || channels === null) return null;
    const list = (text) => text.replace(/^\[|\]$/g, "").split(",").map((one) => one.trim()).filter(Boolean);
    const answer = { client, channels: list(channels) };
    if (found.has("revoked")) answer.revokedChannels = list(found.get("revoked"));
    // The hub writes behind what the address had before: with two, the last is the hub's.
    if (found.has("state")) answer.state = found.getAll("state").at(-1);
    return answer;
  }

  function report(answer, button) {
    const at = button?.isConnected ? button : document;
    const detail = { ...answer };
    // Bubbling: listeners on the element, on document and on window hear it, each once.
    at.dispatchEvent(new CustomEvent("connect-callback", { detail, bubbles: true, composed: true }));
    // The name that pages of the public button listen for, on window or, as its manual says, on document.
    document.dispatchEvent(new CustomEvent("dialog-connect-callback", { detail, bubbles: true }));
  }

  window.addEventListener("message", (event) => {
    // Only our own redirect page may say what came of it; anybody can hold a reference to this window.
    if (event.origin !== location.origin || typeof event.data !== "string" || !event.data.startsWith("?")) return;
    const answer = read(event.data);
    if (!answer) return;
    // A window that has closed since is no source any more.
    const ended = run && (event.source === run.popup || !event.source) ? run : null;
    if (ended) run = null;
    // The button may have been drawn anew meanwhile, and a page that was loaded again knows of no window.
    const candidates = ended
      ? [ended.button, ...[...mounted].filter((one) => one.url === ended.url)]
      : [pressed, ...mounted];
    const button = candidates.find((one) => one?.isConnected);
    if (button) button.finish(answer);
    else report(answer, null);
  });

  function wants() {
    return mounted.size > 0 || run !== null;
  }
  Object.defineProperty(window, MARK, { value: wants });

  // In the popup: hand the answer over and close. True where there is somebody to take it.
  function handOver() {
    try {
      const opener = window.opener;
      // Reading another origin's window throws; a page of ours without the button would hear nothing.
      if (!opener || opener === window || opener.closed || !opener[MARK]?.()) return false;
      opener.postMessage(location.search, location.origin);
    } catch {
      return false;
    }
    window.close();
    return true;
  }

  // What the hub appended goes, what the address had before stays, letter for letter; a reload tells nothing twice.
  function clean() {
    const parts = location.search.slice(1).split("&");
    const first = parts.findLastIndex((part) => part.startsWith("client="));
    if (first < 0) return;
    const kept = parts.filter((part, at) => at < first || !/^(client|channels|revoked|state)=/.test(part));
    const search = kept.length ? `?${kept.join("&")}` : "";
    history.replaceState(history.state, "", location.pathname + search + location.hash);
  }

  // Without a window to hand it to (a link, a blocked popup), this page is the end: it reports to itself.
  function arrive(answer) {
    clean();
    const button = [...mounted][0];
    arrived = answer;
    if (button) button.finish(answer);
    else report(answer, null);
  }

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function glyph() {
    const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
    const drawn = { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": "2" };
    const round = { "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true", part: "icon" };
    for (const [name, value] of Object.entries({ ...drawn, ...round })) svg.setAttribute(name, value);
    path.setAttribute("d", "M7.9 20A9 9 0 1 0 4 16.1L2 22ZM8 12h.01M12 12h.01M16 12h.01");
    svg.append(path);
    return svg;
  }

  class PartnerHubConnect extends HTMLElement {
    static observedAttributes = ["base-url", "partner-id", "label", "disabled", "sign-url", ...PARAMETERS.keys()];

    #callback = null;
    #sign = null;
    #button = element("button", { type: "button", part: "button" });
    #label = element("span", { part: "label" });
    #hint = element("span", { class: "unseen" });
    #status = element("span", { class: "unseen", role: "status" });
    #message = element("p", { part: "message", role: "alert", hidden: "" });
    #watch = 0;
    #looks = 0;

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open", delegatesFocus: true });
      root.adoptedStyleSheets = [sheet];
      this.#button.append(glyph(), this.#label, this.#hint);
      root.append(this.#button, this.#status, this.#message);
      this.#button.addEventListener("click", () => this.open());
    }

    connectedCallback() {
      // A property that the page set before the script was there.
      for (const name of ["callback", "sign"]) {
        if (!Object.hasOwn(this, name)) continue;
        const early = this[name];
        delete this[name];
        this[name] = early;
      }
      mounted.add(this);
      this.#show();
      if (run?.button === this) this.#follow();
    }

    disconnectedCallback() {
      // The window stays open: what it brings is told to a button that took this one's place, else to document.
      mounted.delete(this);
      clearInterval(this.#watch);
    }

    attributeChangedCallback() {
      if (this.isConnected) this.#show();
    }

    /** Called with {client, channels, revokedChannels?, state?}. Set late, it still gets what the address brought. */
    get callback() {
      return this.#callback;
    }

    set callback(called) {
      this.#callback = typeof called === "function" ? called : null;
      if (!this.#callback || !arrived) return;
      const answer = arrived;
      arrived = null;
      this.#callback({ ...answer });
    }

    /** Called at each press for a link that the page's server signed at that moment, instead of `sign-url`. */
    get sign() {
      return this.#sign;
    }

    set sign(called) {
      this.#sign = typeof called === "function" ? called : null;
    }

    /** The link that the button opens, before it is signed, or "" while something is missing. */
    get url() {
      return this.#wrong() ? "" : this.#link();
    }

    /** Open the sign-up, or show its window if it is open already. Browsers block it outside a click. */
    open() {
      if (this.hasAttribute("disabled")) return;
      const wrong = this.#wrong();
      if (wrong) {
        this.#tell(`${this.#words.unset} ${wrong}`);
        return;
      }
      const url = this.#link();
      pressed = this;
      if (run && !run.popup.closed && run.url === url) {
        run.button = this;
        run.popup.focus();
        this.#follow();
        return;
      }
      const signs = this.#signs;
      // Browsers allow a window within the click only: it is opened first, and led to the link once that is signed.
      const popup = window.open(signs ? "about:blank" : url, NAME, WINDOW);
      if (!popup || popup.closed) {
        if (signs) this.#signed(url).then((link) => this.#offer(link), (error) => this.#fail(error));
        else this.#offer(url);
        return;
      }
      const mine = { popup, url, button: this };
      run = mine;
      popup.focus();
      this.#tell("");
      this.#status.textContent = signs ? this.#words.waits : this.#words.opened;
      this.dispatchEvent(new CustomEvent("connect-open", { bubbles: true, composed: true }));
      this.#follow();
      if (signs) this.#lead(mine);
    }

    async #lead(mine) {
      try {
        // A window that was led elsewhere before is not ours to write in.
        mine.popup.document.body.textContent = this.#words.waits;
      } catch {}
      try {
        const link = await this.#signed(mine.url);
        // Closed meanwhile, or taken over by another press.
        if (run !== mine || mine.popup.closed) return;
        mine.popup.location.replace(link);
        mine.button.#status.textContent = mine.button.#words.opened;
      } catch (error) {
        if (run !== mine) return;
        run = null;
        mine.popup.close();
        mine.button.#fail(error);
      }
    }

    // The page's server answers a link that it signed; what it has in its query goes before the attributes.
    async #signed(url) {
      const answer = this.#sign ? await this.#sign() : await this.#ask();
      const [plain, found] = [new URL(url), new URL(String(answer).trim())];
      if (found.origin + found.pathname !== plain.origin + plain.pathname) throw new Error("The link leads elsewhere.");
      const query = new Map([...plain.searchParams, ...found.searchParams]);
      if (!query.get("io_signature") || !query.get("io_timestamp")) throw new Error("The link is not signed.");
      plain.search = [...query].map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
      return plain.href;
    }

    async #ask() {
      const address = new URL(this.getAttribute("sign-url"), document.baseURI);
      // A server that never answers must not leave an empty window behind.
      const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(15000) });
      if (!answer.ok) throw new Error(`sign-url answered ${answer.status}.`);
      return answer.text();
    }

    #fail(error) {
      clearInterval(this.#watch);
      this.#status.textContent = "";
      this.#tell(this.#words.failed);
      this.dispatchEvent(new CustomEvent("connect-failed", { detail: { error }, bubbles: true, composed: true }));
    }

    /** Take the hub's answer: tell the page. Not for pages to call. */
    finish(answer) {
      clearInterval(this.#watch);
      this.#tell("");
      this.#status.textContent = this.#words.done;
      report(answer, this);
      if (!this.#callback) return;
      arrived = null;
      this.#callback({ ...answer });
    }

    // A window says nothing when it is closed: it is looked at. The answer, posted before, goes first.
    #follow() {
      clearInterval(this.#watch);
      this.#looks = 0;
      this.#watch = setInterval(() => {
        if (run?.button !== this) {
          clearInterval(this.#watch);
          return;
        }
        if (!run.popup.closed || this.#looks++ < 1) return;
        clearInterval(this.#watch);
        run = null;
        this.#status.textContent = this.#words.closed;
        this.dispatchEvent(new CustomEvent("connect-closed", { bubbles: true, composed: true }));
      }, 300);
    }

    get #signs() {
      return this.#sign !== null || Boolean(this.getAttribute("sign-url"));
    }

    get #words() {
      const wanted = this.closest("[lang]")?.getAttribute("lang") || "en";
      return WORDS[wanted.toLowerCase().split(/[-_]/)[0]] ?? WORDS.en;
    }

    get #base() {
      return (this.getAttribute("base-url") || BASE).replace(/\/+$/, "");
    }

    // For whoever sets the page up, in English like the attributes it names.
    #wrong() {
      if (!this.getAttribute("partner-id")) return "partner-id is missing.";
      if (!this.#base) return "base-url is missing.";
      // Never an address that runs code.
      return /^https?:\/\/[^/]/i.test(this.#base) ? "" : "base-url is no http address.";
    }

    #link() {
      const parameters = new Map();
      for (const [attribute, parameter] of PARAMETERS) {
        const value = this.getAttribute(attribute);
        if (value && !parameters.has(parameter)) parameters.set(parameter, encodeURIComponent(value));
      }
      const query = [...parameters].map(([name, value]) => `${name}=${value}`).join("&");
      const link = `${this.#base}/onboarding/${encodeURIComponent(this.getAttribute("partner-id"))}`;
      return query ? `${link}?${query}` : link;
    }

    #show() {
      const words = this.#words;
      this.#label.textContent = this.getAttribute("label") || words.label;
      this.#hint.textContent = ` (${words.opens})`;
      // Not `disabled`: the button keeps its place in the tab order and says what it is.
      this.#button.setAttribute("aria-disabled", String(this.hasAttribute("disabled")));
      const link = this.#message.querySelector("a");
      // What was signed before the change is of no use: the next press asks again.
      if (link && this.#signs) this.#tell("");
      else if (link) link.href = this.url;
    }

    #tell(text, ...more) {
      this.#message.replaceChildren(...(text ? [text, ...more] : []));
      this.#message.hidden = !text;
    }

    #offer(url) {
      const words = this.#words;
      // With `opener` the tab finds its way back as the window would.
      const link = element("a", { href: url, target: "_blank", rel: "opener", part: "link" }, words.link);
      this.#tell(words.blocked, " ", link);
      this.dispatchEvent(new CustomEvent("connect-blocked", { bubbles: true, composed: true }));
    }
  }

  const brought = read(location.search);
  const isHandedOver = brought !== null && handOver();
  customElements.define(NAME, PartnerHubConnect);
  if (brought === null || isHandedOver) return;
  // The page's own listeners first: scripts below this one and what loads with the page.
  if (document.readyState === "complete") setTimeout(() => arrive(brought));
  else window.addEventListener("load", () => setTimeout(() => arrive(brought)), { once: true });
})();
