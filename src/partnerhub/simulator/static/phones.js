"use strict";
document.getElementById("pick").addEventListener("submit", (happening) => {
  happening.preventDefault();
  const digits = document.getElementById("number").value.replace(/\D/g, "");
  if (digits) location.assign(`/phone/${digits}`);
});
