// The majors of the SDK, as they are published: what an application imports of each.

import * as react5 from "ai-sdk-react5";
import * as react6 from "ai-sdk-react6";
import * as react7 from "ai-sdk-react7";
import * as ai5 from "ai5";
import * as ai6 from "ai6";
import * as ai7 from "ai7";

export const MAJORS = [
  { major: 5, Chat: react5.Chat, DefaultChatTransport: ai5.DefaultChatTransport },
  { major: 6, Chat: react6.Chat, DefaultChatTransport: ai6.DefaultChatTransport },
  { major: 7, Chat: react7.Chat, DefaultChatTransport: ai7.DefaultChatTransport },
];
