// A button with data-close-window closes the popup that it stands in; where no script opened the window, browsers
// leave it open.
document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-close-window]")) window.close();
});
