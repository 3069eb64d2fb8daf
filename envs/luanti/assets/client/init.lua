-- The client's part: draws the marker of the step that a frame shows, and the block in the hand.
-- Messages from the server: "wake <word>" asks for the word back in every frame until the next marker, so that the server need not
-- wait for one; "nudge" asks for one message; "<id>" or "<id> <picture>" says which step the next frame but one shows, and what the hand
-- holds from then on.

local FRAMES = 1 -- frames from a message to its marker: the client turns the camera one frame after it moves it
local channel, marker, hand
local wanted, frames = nil, 0
local call, calls = "here", math.huge -- what to say to the server, and in how many frames

local function color(id)
	local code = 1 + id % 63 -- 0 is what stands there before the first
	return string.format("#%02x%02x%02x", code % 4 * 85, math.floor(code / 4) % 4 * 85, math.floor(code / 16) * 85)
end

minetest.register_on_modchannel_message(function(name, sender, message)
	local wake = message:match("^wake (%S+)$")
	if wake or message == "nudge" then
		call, calls = wake or "here", wake and math.huge or 1
		return
	end
	local id, picture = message:match("^(%d+) ?(.*)$")
	if picture ~= "" then
		minetest.localplayer:hud_change(hand, "text", picture)
	end
	wanted, frames, calls = tonumber(id), FRAMES, 0
end)

minetest.register_globalstep(function()
	if not channel then
		if not minetest.localplayer then return end
		channel = minetest.mod_channel_join("hdqn")
		local function image(y, height, alignment, text)
			return minetest.localplayer:hud_add({
				hud_elem_type = "image", position = {x = 0, y = y}, alignment = {x = 1, y = alignment},
				offset = {x = 0, y = 0}, scale = {x = -100, y = -height}, text = text,
			})
		end
		hand = image(0, 100, 1, "hdqn_empty.png")
		-- The height of the marker in percent of the window's, a little more than 4 pixels.
		marker = image(1, 401 / tonumber(minetest.settings:get("screen_h")), -1, "hdqn_white.png^[multiply:#000000")
		return
	end
	if calls > 0 then
		calls = calls - 1
		channel:send_all(call)
	end
	if wanted then
		if frames > 0 then
			frames = frames - 1
		else
			minetest.localplayer:hud_change(marker, "text", "hdqn_white.png^[multiply:" .. color(wanted))
			wanted = nil
		end
	end
end)
