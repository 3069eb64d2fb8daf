-- The server's part: reads a command from a pipe, plays it by the rules, changes nodes and camera, answers on another pipe, and has
-- the client mark the frame that shows the outcome.
--   R <id> <slot> <world as JSON>   build a room in a slot and look into it
--   A <id> <slot> <action>          one action, numbered as in the task
-- Answer: id reward terminated truncated invalid success sent_back subgoal steps x z heading, counts of the items, and the changed cell
-- if there is one: cell floor item and its column from the floor upwards.

local here = minetest.get_modpath("hdqn")
local rules, room = dofile(here .. "/rules.lua"), dofile(here .. "/room.lua")

local function read_json(path)
	local file = assert(io.open(path))
	local text = file:read("*a")
	file:close()
	return minetest.parse_json(text)
end

-- JSON's lists begin at 0 in all that follows, as the numbers of materials and cells do.
local function from_zero(list)
	local moved = {}
	for i, value in ipairs(list) do moved[i - 1] = value end
	return moved
end

-- The task: see Compiler.rules in envs/luanti/compile.py.
local task = read_json(here .. "/task.json")
for _, key in ipairs({"solid", "breakable", "needs", "drops", "pit", "back", "item", "actions", "yaws"}) do task[key] = from_zero(task[key]) end

local function node(name, red, tile, more)
	local tiles = {tile}
	for i, shade in ipairs(task.sides) do
		local grey = math.floor(255 * shade + 0.5)
		tiles[i] = string.format("%s^[multiply:#%02x%02x%02x", tile, grey, grey, grey)
	end
	local definition = {
		tiles = tiles, paramtype = "light", light_source = minetest.LIGHT_MAX,
		paramtype2 = "color", palette = "hdqn_palette" .. red .. ".png",
		walkable = false, pointable = false, sunlight_propagates = true, use_texture_alpha = "opaque",
	}
	for key, value in pairs(more) do definition[key] = value end
	minetest.register_node(name, definition)
end

for _, pair in ipairs(task.nodes) do
	local material, texture_id = pair[1], pair[2]
	for red = 0, task.shades - 1 do
		local suffix, tile = material .. "_" .. texture_id .. "_" .. red, "hdqn_" .. texture_id .. ".png"
		local function box(...) return {drawtype = "nodebox", node_box = {type = "fixed", fixed = {...}}} end
		-- What can be walked through is a box, since one may stand in it and then must see the sides of the blocks that it touches;
		-- a little less than whole, as the engine leaves out the sides between two whole ones.
		local whole = task.solid[material] and {drawtype = "normal"} or box(-0.4999, -0.4999, -0.4999, 0.4999, 0.4999, 0.4999)
		node("hdqn:block" .. suffix, red, tile, whole)
		if task.item[material] then
			node("hdqn:item" .. suffix, red, tile, box(-0.25, -0.5, -0.25, 0.25, 0, 0.25))
		end
	end
end

-- No text may come into the picture.
minetest.get_server_status = function() return "" end
minetest.send_join_message = function() end
minetest.send_leave_message = function() end

local folder = minetest.get_worldpath()
local commands, answers = assert(io.open(folder .. "/commands", "r")), assert(io.open(folder .. "/answers", "w"))

local function answer(text)
	answers:write(text, "\n")
	answers:flush()
end

local channel = minetest.mod_channel_join("hdqn")
local player
local worlds, shown = {}, ""

local function set_up(name)
	player = minetest.get_player_by_name(name)
	player:set_physics_override({speed = 0, jump = 0, sneak = false})
	player:set_properties({eye_height = task.eye, visual_size = {x = 0, y = 0}, makes_footstep_sound = false})
	player:hud_set_flags({
		hotbar = false, healthbar = false, crosshair = false, wielditem = false, breathbar = false, minimap = false,
		minimap_radar = false, basic_debug = false, chat = false,
	})
	player:set_sky({type = "plain", base_color = task.sky, clouds = false})
	player:set_sun({visible = false, sunrise_visible = false})
	player:set_moon({visible = false})
	player:set_stars({visible = false})
	player:override_day_night_ratio(1)
end

local function look(world, slot)
	local position, yaw = room.pose(task, world, slot)
	player:set_look_vertical(-math.rad(task.pitch))
	player:set_look_horizontal(yaw)
	player:set_pos(position) -- last, and never read back: the client's own reports overwrite it
end

local function mark(id, world)
	local held = rules.held(world)
	local picture = held == 0 and "hdqn_empty.png" or world.hands[held]
	channel:send_all(picture == shown and tostring(id) or id .. " " .. picture)
	shown = picture
end

local function report(id, world, reward, terminated, truncated, invalid, cell)
	local function bit(truth) return truth and 1 or 0 end
	local words = {
		id, string.format("%.17g", reward), bit(terminated), bit(truncated), bit(invalid), bit(world.subgoal == #task.goal),
		bit(world.sent_back), world.subgoal, world.steps, world.x, world.z, world.heading,
	}
	for _, item in ipairs(task.items) do words[#words + 1] = world.inventory[item] end
	if cell then
		words[#words + 1], words[#words + 2], words[#words + 3] = cell, world.floor[cell], world.items[cell]
		for y = 0, world.height - 1 do words[#words + 1] = world.blocks[cell * world.height + y] end
	end
	answer(table.concat(words, " "))
end

-- What a frame shows may lag behind, so what needs more than a moved camera is done in stages, one after the other:
-- write   Nodes are changed. A new room is written before the agent is near: else the client would be sent mapblocks without it, and
--         its acknowledgement of those be mistaken for one of the room.
-- go      The agent goes there, and the client says so. What it reported before would move the engine's idea of the agent back, and
--         an engine that believes the agent elsewhere does not send the nodes.
-- settle  The client must acknowledge each mapblock, which it does once the new mesh is in place. send_mapblock is false for a block
--         that is acknowledged; else it sends one more copy, whose acknowledgement may be mistaken for that of a later change, so
--         there is some patience before the first question and after the last. Where a room has several mapblocks, all that twice:
--         the arrival of one changes the mesh of the one beside it, which is acknowledged only when that is sent anew.
-- turn    Mapblocks that are new to the client are drawn when it next looks for what is in sight, which a turned camera makes it do.
local FIRST, AGAIN, EDIT, RESET = 5000, 2000, 10000, 60000 -- microseconds
local FRAMES = 3 -- messages, one a frame, after which a frame was drawn with a camera turned before the first
local pending, emerged = nil, {}

local function begin(id, world, slot, write, patience, new)
	local blocks = room.blocks(world, slot)
	local wide = #blocks > 1
	pending = {
		id = id, world = world, slot = slot, write = write, patience = patience, wide = wide, turn = new or wide, stage = "write",
		asked = false, turns = 0, left = blocks, again = wide,
	}
end

-- Have the client say a word in every frame from now on. What it has said before, and may still be on its way, is another.
local function call(word)
	pending.call, pending.heard = word .. pending.id, 0
	channel:send_all("wake " .. pending.call)
end

-- Turn away by quarters, and only by such angles as the agent itself has: the way back from another would not be exact.
local function turn_away(quarters)
	player:set_look_horizontal(task.yaws[(pending.world.heading + 3 * quarters) % 12])
end

-- Each returns the next stage; nil for the same once more.
local stages = {}

function stages.write()
	if not emerged[pending.slot] then return end
	if pending.write then pending.write() end
	look(pending.world, pending.slot)
	call("go")
	return "go"
end

function stages.go(now)
	if pending.heard == 0 then return end
	look(pending.world, pending.slot)
	pending.ready = now + FIRST
	return pending.write and "settle" or "turn"
end

function stages.settle(now)
	if now < pending.ready then return end
	for i = #pending.left, 1, -1 do
		if player:send_mapblock(pending.left[i]) then
			pending.asked = true
		else
			table.remove(pending.left, i)
		end
	end
	if #pending.left > 0 then
		pending.ready = now + AGAIN
		if pending.wide then -- the engine sends only what the agent could see: look around
			pending.turns = pending.turns + 1
			turn_away(pending.turns)
			room.touch(pending.left)
		end
		return
	end
	if pending.asked then
		pending.asked, pending.ready = false, now + pending.patience
		return
	end
	if pending.again then
		pending.again, pending.left, pending.ready = false, room.blocks(pending.world, pending.slot), now + FIRST
		room.touch(pending.left)
		return
	end
	return pending.turn and "turn" or "done"
end

function stages.turn()
	turn_away(1)
	call("turned")
	return "turned"
end

function stages.turned()
	return pending.heard >= FRAMES and "done" or nil
end

-- Returns whether the last stage is done.
local function advance()
	local now = minetest.get_us_time()
	repeat
		local next = stages[pending.stage](now)
		pending.stage = next or pending.stage
	until not next or next == "done"
	return pending.stage == "done"
end

local play = {}

function play.R(id, slot, text)
	local world = minetest.parse_json(text)
	for _, key in ipairs({"blocks", "floor", "items", "marks", "texture_id", "tint"}) do world[key] = from_zero(world[key]) end
	local hands = {}
	for material, picture in pairs(world.hands) do hands[tonumber(material)] = "[png:" .. picture end
	world.hands, worlds[slot] = hands, world
	local success = rules.judge(task, world)
	report(id, world, 0, success, false, false)
	begin(id, world, slot, function() room.build(task, world, slot) end, RESET, true)
	if emerged[slot] == nil then -- the first time that this place is used
		emerged[slot] = false
		local corner = room.corner(slot)
		minetest.emerge_area(corner, vector.offset(corner, room.MOST - 1, 15, room.MOST - 1), function(_, _, left)
			if left == 0 then emerged[slot] = true end
		end)
	end
end

function play.A(id, slot, action)
	local world = worlds[slot]
	local reward, terminated, truncated, invalid, cell = rules.step(task, world, task.actions[tonumber(action)])
	report(id, world, reward, terminated, truncated, invalid, cell)
	if cell then
		begin(id, world, slot, function() room.change(world, slot, cell) end, EDIT, false)
	elseif #room.blocks(world, slot) > 1 then
		begin(id, world, slot) -- a step may bring another mapblock into sight
	else
		look(world, slot)
		mark(id, world)
	end
end

local MOVES = 32 -- after so many, the server attends to its other business
local moves = 0

minetest.register_globalstep(function()
	if not player then return end
	if pending then
		if not advance() then return end
		look(pending.world, pending.slot)
		mark(pending.id, pending.world)
		pending = nil
	end
	while not pending do
		local line = commands:read("*l") -- blocks: the world stands still until it is told to go on
		if not line then
			minetest.request_shutdown()
			player = nil
			return
		end
		local kind, id, slot, rest = line:match("^(%a) (%d+) (%d+) (.*)$")
		play[kind](tonumber(id), tonumber(slot), rest)
		moves = moves + 1
		if moves >= MOVES and not pending then
			moves = 0
			channel:send_all("nudge")
			return
		end
	end
end)

minetest.register_on_modchannel_message(function(_, sender, message)
	if pending and message == pending.call then pending.heard = pending.heard + 1 end
	if not player and minetest.get_player_by_name(sender) then
		set_up(sender)
		answer("ready")
	end
end)
