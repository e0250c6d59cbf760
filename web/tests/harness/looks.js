// The looks in which every state of a page is seen: both themes, on a desk and on a phone.

const DESK = { width: 1200, height: 800 };
const PHONE = { width: 390, height: 844 };

/** Name, theme and size. */
export const LOOKS = /** @type {const} */ ([
  { look: "light", theme: "light", viewport: DESK },
  { look: "dark", theme: "dark", viewport: DESK },
  { look: "phone-light", theme: "light", viewport: PHONE },
  { look: "phone-dark", theme: "dark", viewport: PHONE },
]);
