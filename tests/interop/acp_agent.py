"""An agent over the library agent-client-protocol: says what it is told and what it is set to."""

import asyncio
from uuid import uuid4

from acp import (
    Agent,
    InitializeResponse,
    NewSessionResponse,
    PromptResponse,
    run_agent,
    text_block,
    update_agent_message,
)
from acp.schema import AgentCapabilities, Implementation, LoadSessionResponse


class EchoAgent(Agent):
    def on_connect(self, conn):
        self.conn = conn

    async def initialize(self, protocol_version, **_):
        return InitializeResponse(
            protocol_version=protocol_version,
            agent_capabilities=AgentCapabilities(load_session=True),
            agent_info=Implementation(name="echo", version="1.0"),
        )

    async def new_session(self, cwd, **_):
        return NewSessionResponse(session_id=uuid4().hex)

    async def load_session(self, cwd, session_id, **_):
        await self.say(session_id, "what was said before")
        return LoadSessionResponse()

    async def prompt(self, prompt, session_id, **_):
        for block in prompt:
            await self.say(session_id, getattr(block, "text", None) or getattr(block, "uri", ""))
        return PromptResponse(stop_reason="end_turn")

    async def say(self, session_id, text):
        update = update_agent_message(text_block(text))
        await self.conn.session_update(session_id=session_id, update=update)


asyncio.run(run_agent(EchoAgent()))
