-- From a world's state to nodes of the engine. Each world has a place of its own: its room begins at the corner of a mapblock, floor
-- at the bottom, north towards +z. All places lie within the 200 nodes round the origin in which the client computes without moving
-- its own origin, so that a picture does not depend on which room was looked at before.

local BLOCK = 16
local ACROSS, HIGH = 6, 12 -- places along x and z, and along y: 432 in all (SLOTS in envs/luanti/compile.py)
local STRIDE, STOREY = 4 * BLOCK, 2 * BLOCK
local room = {MOST = 2 * BLOCK} -- nodes along a room's side

local air = minetest.CONTENT_AIR

function room.corner(slot)
	local x, z, y = slot % ACROSS, math.floor(slot / ACROSS) % ACROSS, math.floor(slot / ACROSS ^ 2)
	return {x = (x - ACROSS / 2) * STRIDE, y = (y - HIGH / 2) * STOREY, z = (z - ACROSS / 2) * STRIDE}
end

-- The node that shows a material (as a block or as an item), and its colour. `world.texture_id` and `world.tint` are the episode's;
-- a tint is red, green and blue from 0 to 15: red is the node's, the others are its colour.
local function node_of(world, material, item)
	local red, color = math.floor(world.tint[material] / 256), world.tint[material] % 256
	local name = (item and "hdqn:item" or "hdqn:block") .. material .. "_" .. world.texture_id[material] .. "_" .. red
	return minetest.get_content_id(name), color
end

-- What stands in a cell at y = 0..height-1 over the floor.
local function block_at(world, cell, y)
	local material = world.blocks[cell * world.height + y]
	if material ~= 0 then return node_of(world, material, false) end
	if y == 0 and world.items[cell] ~= 0 then return node_of(world, world.items[cell], true) end
	return air, 0
end

-- Where a cell of the room lies, relative to its corner; rows of the map go south, z goes north.
local function offset(world, cell)
	local x, z = cell % world.width, math.floor(cell / world.width)
	return x - world.west, world.north + world.rows - 1 - z
end

-- The mapblocks that hold a room, as positions of blocks.
function room.blocks(world, slot)
	local corner, found = room.corner(slot), {}
	for x = 0, math.ceil(world.columns / BLOCK) - 1 do
		for z = 0, math.ceil(world.rows / BLOCK) - 1 do
			found[#found + 1] = {x = corner.x / BLOCK + x, y = corner.y / BLOCK, z = corner.z / BLOCK + z}
		end
	end
	return found
end

local function area(world, slot)
	local corner = room.corner(slot)
	local wide, deep = math.ceil(world.columns / BLOCK) * BLOCK, math.ceil(world.rows / BLOCK) * BLOCK
	local manip = minetest.get_voxel_manip()
	local low, high = manip:read_from_map(corner, {x = corner.x + wide - 1, y = corner.y + BLOCK - 1, z = corner.z + deep - 1})
	return manip, VoxelArea:new({MinEdge = low, MaxEdge = high}), corner
end

-- Write the whole room.
function room.build(task, world, slot)
	local manip, within, corner = area(world, slot)
	local nodes, colors = {}, {}
	for i = 1, within:getVolume() do nodes[i], colors[i] = air, 0 end
	local function put(dx, y, dz, node, color)
		local i = within:index(corner.x + dx, corner.y + y, corner.z + dz)
		nodes[i], colors[i] = node, color
	end
	for z = world.north, world.north + world.rows - 1 do
		for x = world.west, world.west + world.columns - 1 do
			local cell = z * world.width + x
			local dx, dz = offset(world, cell)
			put(dx, 0, dz, node_of(world, world.floor[cell], false))
			for y = 0, world.height - 1 do put(dx, 1 + y, dz, block_at(world, cell, y)) end
			put(dx, 1 + world.height, dz, node_of(world, task.ceiling, false))
		end
	end
	manip:set_data(nodes)
	manip:set_param2_data(colors)
	manip:write_to_map(false)
end

-- Write one cell anew. All mapblocks of the room are sent, so the client has to acknowledge each.
function room.change(world, slot, cell)
	local manip, _, corner = area(world, slot)
	local dx, dz = offset(world, cell)
	local names = {}
	for y = -1, world.height - 1 do
		local node, color
		if y < 0 then
			node, color = node_of(world, world.floor[cell], false)
		else
			node, color = block_at(world, cell, y)
		end
		names[node] = names[node] or minetest.get_name_from_content_id(node)
		manip:set_node_at({x = corner.x + dx, y = corner.y + 1 + y, z = corner.z + dz}, {name = names[node], param2 = color})
	end
	manip:write_to_map(false)
end

-- Let the engine send mapblocks again.
function room.touch(blocks)
	for _, block in ipairs(blocks) do
		local manip, low = minetest.get_voxel_manip(), vector.multiply(block, BLOCK)
		manip:read_from_map(low, vector.add(low, BLOCK - 1))
		manip:write_to_map(false)
	end
end

-- Where the agent's feet are, and the direction in which it looks.
function room.pose(task, world, slot)
	local corner = room.corner(slot)
	local dx, dz = offset(world, world.z * world.width + world.x)
	return {x = corner.x + dx, y = corner.y + 0.5, z = corner.z + dz}, task.yaws[world.heading]
end

return room
