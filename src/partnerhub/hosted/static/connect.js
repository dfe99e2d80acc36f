// Embedded Signup: the same code in production and development. The page says which script to load, which
// configuration to open and whose messages to believe; what comes back is posted as a plain form.
(() => {
  // The last page is a link, because a redirect after a form may not leave this origin; script follows it.
  const go = document.querySelector("[data-go]");
  if (go) location.replace(go.href);
  // Another request is at work: look until the run stands elsewhere, then show that.
  const waiting = document.querySelector("[data-waiting]");
  if (waiting) {
    const address = waiting.dataset.waiting;
    const look = async () => {
      try {
        const answer = await fetch(address);
        if (!(await answer.text()).includes("data-waiting")) return location.replace(address);
      } catch {
        // The network comes and goes; the next look may work.
      }
      setTimeout(look, 2000);
    };
    setTimeout(look, 2000);
  }
  const root = document.querySelector("[data-connect]");
  if (!root) return;
  const settings = JSON.parse(root.dataset.connect);
  const part = (name) => root.querySelector(`[data-${name}]`);
  const [before, working, cancelled, blocked, open] = ["before", "working", "cancelled", "blocked", "open"].map(part);
  const form = open.form;

  let session = null; // what the WA_EMBEDDED_SIGNUP message said
  let code = null; // what FB.login's answer said
  let patience = 0;

  const submit = () => {
    clearTimeout(patience);
    const data = session?.data || {};
    const values = {
      code,
      event: session?.event || "",
      waba_id: data.waba_id || "",
      phone_number_id: data.phone_number_id || "",
      business_id: data.business_id || "",
    };
    for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
    form.requestSubmit();
  };
  const show = (isWorking) => {
    before.hidden = isWorking;
    working.hidden = !isWorking;
  };
  form.addEventListener("submit", () => show(true));
  // Coming back from the browser's memory, the page is as it was before.
  window.addEventListener("pageshow", () => show(false));
  // Code and message come in either order; the code lives 30 seconds, so the message is not waited for long.
  const step = () => {
    if (!code) return;
    if (session && session.event.startsWith("FINISH")) submit();
    else patience ||= setTimeout(submit, 3000);
  };

  const stopped = () => {
    open.disabled = false;
    part("problem")?.remove();
    cancelled.hidden = false;
    const data = session?.data || {};
    const body = new URLSearchParams({
      step: data.current_step || "",
      error_id: data.error_id || "",
      error_message: data.error_message || "",
      session_id: data.session_id || "",
    });
    const field = form.querySelector("input[type=hidden]");
    if (field) body.set(field.name, field.value);
    fetch(settings.cancelled_url, { method: "POST", body, redirect: "manual" }).catch(() => {});
    if (data.error_message) cancelled.querySelector("p").textContent = data.error_message;
    session = null;
  };

  window.addEventListener("message", (event) => {
    if (!settings.origins.includes(event.origin)) return;
    let content;
    try {
      content = typeof event.data === "string" ? JSON.parse(event.data) : event.data;
    } catch {
      return;
    }
    if (content?.type !== "WA_EMBEDDED_SIGNUP" || typeof content.event !== "string") return;
    session = content;
    step();
  });

  window.fbAsyncInit = () => {
    window.FB.init({ appId: settings.app_id, autoLogAppEvents: false, xfbml: false, version: settings.version });
    open.disabled = false;
  };
  open.addEventListener("click", () => {
    cancelled.hidden = true;
    open.disabled = true;
    session = code = null;
    window.FB.login(
      (answer) => {
        code = answer?.authResponse?.code || null;
        if (code) step();
        // The CANCEL message may arrive a moment after the answer.
        else setTimeout(stopped, 200);
      },
      {
        config_id: settings.config_id,
        response_type: "code",
        override_default_response_type: true,
        extras: settings.extras,
      },
    );
  });

  const script = document.createElement("script");
  script.src = settings.sdk_url;
  script.async = script.defer = true;
  script.crossOrigin = "anonymous";
  script.addEventListener("error", () => (blocked.hidden = false));
  document.head.append(script);
})();
