/* Stands in for Meta's JavaScript SDK: FB.init, FB.login and the Embedded Signup popup.
   The popup posts WA_EMBEDDED_SIGNUP to this window itself; here only the login's own answer is read. */
(function () {
  "use strict";
  if (window.FB && window.FB.isSimulator) return;

  var script = document.currentScript;
  var home = new URL(script ? script.src : "/", location.href).origin;
  var settings = null;
  var serial = 0;

  function unknown(callback) {
    if (typeof callback === "function") callback({ authResponse: null, status: "unknown" });
  }

  function login(callback, options) {
    options = options || {};
    if (!settings) {
      console.error("FB.login() called before FB.init().");
      return;
    }
    if (options.response_type !== "code" || !options.override_default_response_type) {
      console.error("Embedded Signup needs response_type 'code' and override_default_response_type true.");
      unknown(callback);
      return;
    }
    serial += 1;
    var channel = "f" + serial + Math.random().toString(36).slice(2);
    var address = new URL("/" + (settings.version || "v25.0") + "/dialog/oauth", home);
    address.searchParams.set("client_id", settings.appId);
    address.searchParams.set("config_id", options.config_id || "");
    address.searchParams.set("response_type", options.response_type);
    address.searchParams.set("display", "popup");
    address.searchParams.set("extras", JSON.stringify(options.extras || {}));
    address.searchParams.set("origin", location.origin);
    address.searchParams.set("channel", channel);
    var left = Math.max(0, Math.round(window.screenX + (window.outerWidth - 640) / 2));
    var popup = window.open(address.href, channel, "width=640,height=760,left=" + left + ",top=60");
    if (!popup) {
      unknown(callback);
      return;
    }

    var isDone = false;
    var watch = setInterval(function () {
      // A moment's grace: the answer may still be on its way when the popup has just closed.
      if (popup.closed) setTimeout(function () { settle(null); }, 300);
    }, 300);

    function settle(code) {
      if (isDone) return;
      isDone = true;
      clearInterval(watch);
      window.removeEventListener("message", hear);
      if (!code) {
        unknown(callback);
        return;
      }
      callback({
        authResponse: { code: code, userID: null, expiresIn: null },
        status: "connected"
      });
    }

    function hear(event) {
      if (event.origin !== home || event.source !== popup || typeof event.data !== "string") return;
      // Like Meta's, this message is a query string and no JSON; listeners for WA_EMBEDDED_SIGNUP must skip it.
      if (event.data.indexOf("cb=" + channel + "&") !== 0) return;
      settle(new URLSearchParams(event.data).get("code"));
    }

    window.addEventListener("message", hear);
  }

  window.FB = {
    isSimulator: true,
    init: function (options) {
      settings = options || {};
    },
    login: login,
    logout: function (callback) {
      unknown(callback);
    },
    getLoginStatus: unknown,
    getAuthResponse: function () {
      return null;
    },
    AppEvents: { logPageView: function () {}, logEvent: function () {} },
    Event: { subscribe: function () {}, unsubscribe: function () {} },
    XFBML: { parse: function () {} }
  };

  if (typeof window.fbAsyncInit === "function" && !window.fbAsyncInit.hasRun) {
    window.fbAsyncInit.hasRun = true;
    setTimeout(window.fbAsyncInit, 0);
  }
})();
