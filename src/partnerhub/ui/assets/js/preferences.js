// The theme form works by itself; with script the choice shows at once and the page is not loaded again.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  const chosen = event.submitter;
  if (!(form instanceof HTMLFormElement) || !form.hasAttribute("data-theme-form") || !chosen) return;
  event.preventDefault();
  const root = document.documentElement;
  const before = root.dataset.theme;
  show(form, chosen.value);
  const body = new URLSearchParams(new FormData(form, chosen));
  const answer = await fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => null);
  // A redirect seen from here is opaque, which is the good case.
  if (!answer || (answer.type !== "opaqueredirect" && !answer.ok)) show(form, before ?? "system");
});

function show(form, theme) {
  const root = document.documentElement;
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  const meta = document.querySelector('meta[name="color-scheme"]');
  if (meta) meta.content = theme === "system" ? "light dark" : theme;
  for (const button of form.querySelectorAll("button")) button.ariaPressed = String(button.value === theme);
  document.dispatchEvent(new Event("ui:theme"));
}
