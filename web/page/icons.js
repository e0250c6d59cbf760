/**
 * @module
 * The pictures of both pages, drawn by hand as strokes on a grid of 24; see `strokes` in `dom.js`.
 */

export const COPY = ["M9 9h11v11H9z", "M5 15H4V4h11v1"];
export const CHECK = ["M5 12.5l4.5 4.5L19 7.5"];
export const CROSS = ["M6 6l12 12", "M18 6L6 18"];
export const PLUS = ["M12 5v14", "M5 12h14"];
export const CHEVRON = ["M9 6l6 6-6 6"];
export const SEND = ["M12 19V5", "M6 11l6-6 6 6"];
export const STOP = ["M7 7h10v10H7z"];
export const DOWN = ["M12 5v14", "M6 13l6 6 6-6"];
export const PENCIL = ["M4 20l1-4L16 5l3 3L8 19z", "M14 7l3 3"];
export const BIN = ["M5 7h14", "M10 7V4h4v3", "M7 7l1 13h8l1-13"];
export const LIST = ["M4 6h16", "M4 12h16", "M4 18h10"];
export const SEARCH = ["M11 5a6 6 0 1 0 0 12a6 6 0 1 0 0-12z", "M15.5 15.5L20 20"];
export const SUN = [
  "M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8z",
  "M12 2v2",
  "M12 20v2",
  "M2 12h2",
  "M20 12h2",
  "M5 5l1.4 1.4",
  "M17.6 17.6L19 19",
  "M5 19l1.4-1.4",
  "M17.6 6.4L19 5",
];
export const MOON = ["M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z"];
export const SCREEN = ["M3 5h18v12H3z", "M9 21h6", "M12 17v4"];
export const PLUG = ["M9 3v5", "M15 3v5", "M6 8h12v3a6 6 0 0 1-12 0z", "M12 17v4"];
export const RETRY = ["M19 8a8 8 0 1 0 1 6", "M20 3v5h-5"];
export const LENS = [
  "M4 12s3-6 8-6s8 6 8 6s-3 6-8 6s-8-6-8-6z",
  "M12 10a2 2 0 1 0 0 4a2 2 0 1 0 0-4z",
];
export const TOOL = ["M4 17l6-5-6-5", "M12 18h8"];
export const PLAN = ["M4 6l1.5 1.5L8 5", "M4 13l1.5 1.5L8 12", "M12 7h8", "M12 14h8", "M4 20h16"];
export const THOUGHT = ["M12 4a7 6 0 0 1 0 12h-2l-4 4v-5a6 6 0 0 1 6-11z"];
export const CLOCK = ["M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16z", "M12 8v4l3 2"];
export const WARNING = ["M12 4l9 16H3z", "M12 10v5", "M12 17.5v.1"];
export const QUESTION = [
  "M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16z",
  "M9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .8-1 1.7",
  "M12 16.5v.1",
];
export const BOLT = ["M13 3L5 14h6l-1 7 8-11h-6z"];
