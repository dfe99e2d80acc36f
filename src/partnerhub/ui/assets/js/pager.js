// Turning a page of a list begins it at its top, for the eyes and for the keyboard.
let turned = null;

document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest(".pager a[hx-get]") : null;
  turned = link ? link.getAttribute("hx-target") : null;
});

document.addEventListener("htmx:after:settle", () => {
  const part = turned && document.querySelector(turned);
  turned = null;
  if (!part) return;
  part.tabIndex = -1;
  part.focus({ preventScroll: true });
  part.scrollIntoView({ block: "start" });
});
