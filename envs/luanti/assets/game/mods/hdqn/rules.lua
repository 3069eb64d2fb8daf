-- The rules of a task, as in envs/voxel/rules.py: cells and headings are whole numbers, a cell is (z * width + x), counted from 0.
-- A world is a table: depth, width, height, blocks[cell * height + y], floor[cell], items[cell], marks[cell], x, z, heading,
-- start = {x, z, heading}, sent_back, inventory[material], subgoal, steps. Materials are numbers, 0 is air.

local AIR, HEADINGS = 0, 12
local rules = {}

local function cell_ahead(world)
	local side = math.floor((world.heading + 1) / 3) % 4
	local x = world.x + (side == 1 and 1 or 0) - (side == 3 and 1 or 0)
	local z = world.z + (side == 2 and 1 or 0) - (side == 0 and 1 or 0)
	return x, z, z * world.width + x
end

function rules.held(world)
	for material = 1, #world.inventory do
		if world.inventory[material] > 0 then return material end
	end
	return AIR
end

local function blocked(task, world, cell)
	local feet, head = world.blocks[cell * world.height], world.blocks[cell * world.height + 1]
	return task.solid[feet] or task.solid[head]
end

-- Each returns whether it had an effect and, if it did, the cell that it changed.
local actions = {}

function actions.nothing()
	return false
end

function actions.forward(task, world)
	local x, z, cell = cell_ahead(world)
	if blocked(task, world, cell) or task.pit[world.floor[cell]] then return false end
	world.sent_back = task.back[world.floor[cell]]
	if world.sent_back then
		world.x, world.z, world.heading = world.start[1], world.start[2], world.start[3]
	else
		world.x, world.z = x, z
	end
	return true
end

function actions.turn_left(_, world)
	world.heading = (world.heading - 1) % HEADINGS
	return true
end

function actions.turn_right(_, world)
	world.heading = (world.heading + 1) % HEADINGS
	return true
end

actions["break"] = function(task, world)
	local _, _, cell = cell_ahead(world)
	local blocks, feet = world.blocks, cell * world.height
	-- The block at eye level if there is one, else the one at the feet; a door breaks whole, as both are one material.
	local material = blocks[feet + 1] ~= AIR and blocks[feet + 1] or blocks[feet]
	local key = task.needs[material] -- the item that must be carried
	if not task.breakable[material] or (key ~= AIR and world.inventory[key] == 0) then return false end
	for body = feet, feet + 1 do
		if blocks[body] == material then blocks[body] = AIR end
	end
	if task.drops[material] ~= AIR and world.items[cell] == AIR then
		world.items[cell] = task.drops[material]
	end
	return true, cell
end

function actions.pick_up(task, world)
	local _, _, cell = cell_ahead(world)
	if world.items[cell] == AIR or blocked(task, world, cell) then
		cell = world.z * world.width + world.x
	end
	local item = world.items[cell]
	if item == AIR then return false end
	world.items[cell] = AIR
	world.inventory[item] = world.inventory[item] + 1
	return true, cell
end

function actions.place(task, world)
	local _, _, cell = cell_ahead(world)
	local feet, held = cell * world.height, rules.held(world)
	if held == AIR or world.blocks[feet] ~= AIR or world.blocks[feet + 1] ~= AIR or world.items[cell] ~= AIR then
		return false
	end
	world.inventory[held] = world.inventory[held] - 1
	if task.pit[world.floor[cell]] then
		world.floor[cell] = held
	else
		world.blocks[feet] = held
	end
	return true, cell
end

local function marked(mark, subgoal)
	return math.floor(mark / 2 ^ subgoal) % 2 == 1
end

-- Each says whether a predicate of the goal, subgoal number `subgoal` from 0, is true now.
local goals = {}

function goals.reach(_, world, subgoal)
	return marked(world.marks[world.z * world.width + world.x], subgoal)
end

function goals.hold(_, world, _, goal)
	return world.inventory[goal.item] > 0
end

function goals.broken(task, world, subgoal)
	for cell = 0, world.depth * world.width - 1 do
		if marked(world.marks[cell], subgoal) and blocked(task, world, cell) then return false end
	end
	return true
end

function goals.placed_at(_, world, subgoal, goal)
	for cell = 0, world.depth * world.width - 1 do
		if marked(world.marks[cell], subgoal) and world.blocks[cell * world.height] == goal.item then return true end
	end
	return false
end

-- Count the subgoals that are complete; returns whether all are.
function rules.judge(task, world)
	while world.subgoal < #task.goal do
		local goal = task.goal[world.subgoal + 1]
		if not goals[goal.kind](task, world, world.subgoal, goal) then break end
		world.subgoal = world.subgoal + 1
	end
	return world.subgoal == #task.goal
end

-- One step. Returns reward, terminated, truncated, whether the action had no effect, and the cell that it changed or nil.
function rules.step(task, world, action)
	world.steps, world.sent_back = world.steps + 1, false
	local effect, cell = actions[action](task, world)
	local success = rules.judge(task, world)
	local reward = success and task.reward_success or task.reward_step
	return reward, success, world.steps >= world.limit and not success, not effect, cell
end

return rules
