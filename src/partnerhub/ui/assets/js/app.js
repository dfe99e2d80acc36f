// Entry of the bundle. Each module adds delegated listeners to the document, so that content swapped in later needs
// no set-up; nothing here is required for a page to work.
import "./requests.js";
import "./once.js";
import "./drafts.js";
import "./close.js";
import "./copy.js";
import "./pager.js";
import "./overlays.js";
import "./toasts.js";
import "./menus.js";
import "./preferences.js";
import "./palette.js";
import "./preview.js";

// The chart library is fetched only by pages that show a chart.
if (!customElements.get("u-chart")) {
  const load = () => document.querySelector("u-chart") && import("./chart.js");
  load();
  document.addEventListener("htmx:after:swap", load);
}
