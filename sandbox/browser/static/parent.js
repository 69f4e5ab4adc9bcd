const LOOPBACK = /^https?:\/\/(localhost|127\.0\.0\.1)(:\d+)?$/;

/**
 * The line to the shop's page. Its port comes in one message from the page that embeds this one, if that page is on this
 * machine; everything later goes over the port, which nobody else holds.
 *
 * start: called with what the page says first. handlers: functions by message type; what they return is sent back.
 * Returns tell(type, detail).
 */
export function connectToShop(start, handlers) {
  let port;
  let started;
  const tell = (type, detail) => port?.postMessage({ type, detail });
  window.addEventListener("message", ({ source, origin, data, ports }) => {
    if (port || source !== window.parent || !LOOPBACK.test(origin) || !data?.connect) return;
    port = ports[0];
    port.onmessage = async ({ data: { type, detail, number } }) => {
      await started;
      const result = await carriedOut(handlers[type], detail);
      if (number !== undefined) port.postMessage({ answers: number, detail: result });
    };
    tell("hello");
    started = start(data.hello);
  });
  return tell;
}

/** What a handler returns. A fault of ours must still be an answer, or the shop's page would wait for ever. */
async function carriedOut(handler, detail) {
  try {
    return await handler?.(detail);
  } catch (fault) {
    console.error(fault);
    return { error: { type: "api_error", message: "The payment form failed. Its console tells more." } };
  }
}

/** Keep the frame as high as its content and tell the page which colour scheme it is painted for. */
export function reportLayout(tell, main, scheme) {
  const report = () => {
    // Without a width, in a part of the page that is not shown, text breaks at every letter: no height to go by.
    if (window.innerWidth === 0) return;
    tell("layout", { height: Math.ceil(main.getBoundingClientRect().height), scheme: scheme() });
  };
  new ResizeObserver(report).observe(main);
  report(); // below the fold a frame is not painted, and its observer sleeps
  return report;
}
