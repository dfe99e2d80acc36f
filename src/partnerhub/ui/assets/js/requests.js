// htmx under our policy: one Trusted Types policy, and swapped scripts stay inert.
import htmx from "htmx.org";

if (window.trustedTypes) {
  const policy = trustedTypes.createPolicy("htmx", { createHTML: (html) => html, createScript: () => "" });
  htmx.registerExtension("tt", { init: (api) => api.initSecurity(policy) });
}

// After a swap the focus goes to what the answer marked, or to the first field that is wrong.
document.addEventListener("htmx:after:settle", (event) => {
  const part = event.target;
  if (!(part instanceof Element)) return;
  const wanted = part.querySelector("[data-focus]") ?? part.querySelector('[aria-invalid="true"]');
  wanted?.focus({ preventScroll: false });
});
// A whole page that comes back from a form would else begin at its top, as if nothing were wrong.
if (performance.getEntriesByType("navigation")[0]?.responseStatus >= 400) {
  document.querySelector('main [aria-invalid="true"]')?.focus();
}

// A request without a usable answer is told in a toast that the server rendered beforehand, one for each cause. Our own
// errors (they name their code) bring their toast with them; any other 5xx is a server's between us and the browser.
function tell(cause, code, request) {
  const template = document.querySelector(`template[data-failure="${cause}"]`);
  const toaster = document.getElementById("toaster");
  if (!template || !toaster) return;
  toaster.querySelector('[data-request-failed]:not([aria-hidden="true"])')?.remove();
  const toast = template.content.cloneNode(true);
  for (const [fact, value] of [["code", code], ["request", request]]) {
    const place = toast.querySelector(`[data-fact="${fact}"]`);
    if (!value) place?.remove();
    else if (place) {
      place.querySelector(".id > span").textContent = value;
      place.querySelector("[data-copy]").dataset.copy = value;
    }
  }
  toaster.append(toast);
}

document.addEventListener("htmx:error", (event) => {
  const { ctx } = event.detail ?? {};
  // What failed after the answer had come is an error of the page.
  if (!ctx || ctx.text !== undefined) return;
  if (ctx.request?.signal?.reason === "timeout") tell("timeout", "no_answer_in_time");
  else tell("connection", "no_connection");
});

document.addEventListener("htmx:response:error", (event) => {
  const { ctx } = event.detail ?? {};
  const { status, headers } = ctx?.response ?? {};
  if (!status || status < 500 || headers.get("x-error-code")) return;
  ctx.text = "";
  ctx.hx.reswap = "none";
  tell("status", `http_${status}`, headers.get("x-request-id"));
});
