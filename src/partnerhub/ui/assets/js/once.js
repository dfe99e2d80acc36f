// A form with data-once is sent once: a second press while the answer is on its way does nothing, and the button says
// that it works. Coming back to the page (also from the browser's memory) the form is fresh again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || !form.hasAttribute("data-once") || event.defaultPrevented) return;
  // A button that may be pressed again and again, such as a test beside a form that saves.
  if (event.submitter?.hasAttribute("data-again")) return;
  if ("sent" in form.dataset) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "";
  const button = event.submitter ?? form.querySelector('[type="submit"]');
  if (button) button.ariaBusy = "true";
});

window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-busy]")) button.ariaBusy = null;
  }
});
