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

// A request that got no usable answer (network, timeout, 5xx) is told in a toast that the server rendered beforehand.
function failed() {
  const template = document.getElementById("request-failed");
  const toaster = document.getElementById("toaster");
  if (template && toaster && !toaster.querySelector('[data-request-failed]:not([aria-hidden="true"])')) {
    toaster.append(template.content.cloneNode(true));
  }
}

document.addEventListener("htmx:error", (event) => {
  if (event.detail?.ctx) failed();
});
document.addEventListener("htmx:response:error", (event) => {
  if ((event.detail?.ctx?.response?.status ?? 0) >= 500) failed();
});
