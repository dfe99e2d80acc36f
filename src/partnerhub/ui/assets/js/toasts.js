// Toasts are rendered by the server only. A success goes after four seconds, unless the pointer or the focus is on the
// pile; an error stays until it is dismissed; at most three are shown.
const LIFE = 4000;
const MOST = 3;
const fleeting = (toast) => toast.hasAttribute("data-life");
const toaster = () => document.getElementById("toaster");

function dismiss(toast) {
  if (!toast || toast.ariaHidden === "true") return;
  const back = toast.contains(document.activeElement);
  toast.ariaHidden = "true";
  setTimeout(() => toast.remove(), 300);
  if (back) document.getElementById("main")?.focus({ preventScroll: true });
}

function arm(toast) {
  if (toast.dataset.armed || !fleeting(toast)) return;
  toast.dataset.armed = "1";
  const tick = () => {
    if (!toast.isConnected) return;
    if (toaster()?.matches(":hover, :focus-within")) setTimeout(tick, 1000);
    else dismiss(toast);
  };
  setTimeout(tick, LIFE);
}

function settle() {
  const shown = [...(toaster()?.querySelectorAll('.toast:not([aria-hidden="true"])') ?? [])];
  shown.forEach(arm);
  // Old successes leave first; errors are kept as long as possible.
  const surplus = shown.length - MOST;
  if (surplus > 0) {
    const order = [...shown.filter(fleeting), ...shown.filter((toast) => !fleeting(toast))];
    order.slice(0, surplus).forEach(dismiss);
  }
}

let watched = null;
const observer = new MutationObserver(settle);

function watch() {
  const element = toaster();
  if (element && element !== watched) {
    watched = element;
    observer.disconnect();
    observer.observe(element, { childList: true });
  }
  settle();
}

watch();
document.addEventListener("htmx:after:swap", watch);
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-dismiss]");
  if (button) dismiss(button.closest(".toast"));
});
