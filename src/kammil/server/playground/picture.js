// A picture of the coloured text, drawn in the browser: nothing is sent anywhere.

import { pageDirection } from "./i18n.js";

const SCALE = 2; // pixels of the picture for each of the page
const MARGIN = 28;
const FOOTER = 34;

/**
 * Draw a text as the page shows it, with a colour behind each character.
 *
 * Positions are the page's own, so that letters join and lines break as they do there.
 *
 * @param {HTMLElement} paragraph
 * @param {string[]} colours of the characters (code points), in order
 * @param {string} caption
 * @returns {HTMLCanvasElement}
 */
export function drawText(paragraph, colours, caption) {
  const frame = paragraph.getBoundingClientRect();
  const style = getComputedStyle(paragraph);
  const [width, height] = [frame.width + 2 * MARGIN, frame.height + 2 * MARGIN + FOOTER];
  const canvas = Object.assign(document.createElement("canvas"), { width: SCALE * width, height: SCALE * height });
  const pen = canvas.getContext("2d");
  pen.scale(SCALE, SCALE);
  pen.fillStyle = getComputedStyle(paragraph.closest("section")).backgroundColor;
  pen.fillRect(0, 0, width, height);
  pen.translate(MARGIN - frame.left, MARGIN - frame.top);
  const lines = [];
  characters(paragraph).forEach(({ text, rectangles }, i) => {
    for (const r of rectangles) {
      pen.fillStyle = colours[i];
      pen.fillRect(r.left, r.top, r.width, r.height);
    }
    const r = rectangles[0];
    if (!r) return;
    const line = lines.at(-1);
    const middle = (r.top + r.bottom) / 2;
    if (line && middle > line.top && middle < line.bottom) {
      line.text += text;
      line.left = Math.min(line.left, r.left);
      line.right = Math.max(line.right, r.right);
    } else lines.push({ text, left: r.left, right: r.right, top: r.top, bottom: r.bottom });
  });
  Object.assign(pen, { font: style.font, fillStyle: style.color, direction: style.direction, textBaseline: "alphabetic" });
  const rightToLeft = style.direction === "rtl";
  pen.textAlign = rightToLeft ? "right" : "left";
  const { fontBoundingBoxAscent: ascent, fontBoundingBoxDescent: descent } = pen.measureText("ا");
  for (const { text, left, right, top, bottom } of lines)
    pen.fillText(text, rightToLeft ? right : left, (top + bottom + ascent - descent) / 2);
  pen.font = style.font.replace(/[\d.]+px/, "14px");
  pen.direction = pageDirection();
  pen.textAlign = "center";
  pen.fillText(caption, frame.left + frame.width / 2, frame.bottom + MARGIN);
  return canvas;
}

/** Return the characters of an element, each with its text and its rectangles on the page. */
function characters(element) {
  const found = [];
  const nodes = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node; (node = nodes.nextNode()); ) {
    let offset = 0;
    for (const text of node.data) {
      const range = new Range();
      range.setStart(node, offset);
      range.setEnd(node, (offset += text.length));
      found.push({ text, rectangles: [...range.getClientRects()] });
    }
  }
  return found;
}

/** Share a picture with the system's own dialog, or save it where there is none. */
export async function sharePicture(canvas, name) {
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const file = new File([blob], name, { type: "image/png" });
  if (matchMedia("(pointer: coarse)").matches && navigator.canShare?.({ files: [file] })) {
    await navigator.share({ files: [file] }).catch((error) => {
      if (error.name !== "AbortError") throw error; // the dialog was closed
    });
    return;
  }
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
