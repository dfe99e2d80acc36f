// Dialogs and drawers. A link with data-dialog="id" opens that dialog instead of the page it points to; a swap into a
// dialog (hx-target="#drawer" or "#dialog") opens it. The element itself gives the focus back to its opener.
const plain = (event) => event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;

document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("[data-dialog]");
  if (opener && plain(event)) {
    const dialog = document.getElementById(opener.dataset.dialog);
    if (dialog) {
      event.preventDefault();
      open(dialog);
    }
    return;
  }
  const closer = event.target.closest?.("[data-close]");
  const within = closer?.closest("dialog");
  if (within) {
    event.preventDefault();
    within.close();
    return;
  }
  // A press on the shade: the dialog element itself spans the screen, its child is the visible box.
  if (event.target instanceof HTMLDialogElement && event.target.hasAttribute("data-light")) event.target.close();
});

function open(dialog) {
  if (dialog.open) return;
  dialog.dataset.back = location.pathname + location.search;
  dialog.showModal();
  (dialog.querySelector("[data-focus], [autofocus]") ?? dialog.querySelector('[aria-invalid="true"]'))?.focus();
}

document.addEventListener("htmx:before:swap", (event) => {
  const target = event.detail?.ctx?.target;
  const dialog = target instanceof Element && target.closest("dialog");
  // Remembered before the swap pushes the address of what is being opened.
  if (dialog && !dialog.open) dialog.dataset.from = location.pathname + location.search;
});

document.addEventListener("htmx:after:swap", (event) => {
  const target = event.detail?.ctx?.target;
  const dialog = target instanceof Element && target.closest("dialog");
  if (!dialog) return;
  if (dialog.childElementCount === 0) return dialog.close();
  const from = dialog.dataset.from;
  open(dialog);
  if (from) dialog.dataset.back = from;
});

document.addEventListener(
  "close",
  (event) => {
    const dialog = event.target;
    if (!(dialog instanceof HTMLDialogElement)) return;
    const { back } = dialog.dataset;
    if (dialog.hasAttribute("data-swap")) {
      if (back && back !== location.pathname + location.search) history.replaceState(history.state, "", back);
      dialog.replaceChildren();
    }
    delete dialog.dataset.back;
    delete dialog.dataset.from;
  },
  true,
);
