#extension GL_ARB_shader_texture_lod : require
// The light of envs/voxel/render.py: shade by the side's direction, a line round the cell ahead, darkness with distance, and the mean
// of what a pixel covers. Its constants are defined above, by envs/luanti/compile.py.
uniform sampler2D baseTexture;

varying vec3 point;
varying vec3 eye;
varying vec3 ahead;
varying vec3 normal;
varying vec3 gain;

void main(void)
{
	vec3 side = abs(normal);
	vec3 cell = floor(point - 0.1 * normal);
	vec3 inside = point - cell;
	vec3 eye_cell = floor(eye);
	if (cell.xz == eye_cell.xz && cell.y > 0.5 && cell.y < CEILING - 0.5)
		discard; // what the agent stands in: a curtain, or an item underfoot
	// An item is a smaller cube inside its cell.
	bool item = dot(inside - 0.5, normal) < 0.4;

	bool level = side.y < 0.5;
	vec2 uv = !level ? vec2(inside.x, 1.0 - inside.z) : side.x > 0.5 ? vec2(1.0 - inside.z, 1.0 - inside.y) : vec2(inside.x, 1.0 - inside.y);
	if (item)
		uv = level ? vec2((uv.x - 0.25) * 2.0, (uv.y - 0.5) * 2.0) : vec2((uv.x - 0.25) * 2.0, 1.0 - (uv.y - 0.25) * 2.0);

	vec3 ray = point - eye;
	float depth = dot(ray, ahead);
	float light = side.x > 0.5 ? SHADE_X : side.z > 0.5 ? SHADE_Z : normal.y > 0.0 ? SHADE_UP : SHADE_DOWN;
	float covered = depth * TEXELS;
	if (!level)
		covered /= sqrt(abs(ray.y / depth));

	bool along_x = abs(ahead.x) > abs(ahead.z);
	vec2 next = eye_cell.xz + (along_x ? vec2(sign(ahead.x), 0.0) : vec2(0.0, sign(ahead.z)));
	bool ceiling = normal.y < -0.5 && point.y > CEILING - 0.5;
	vec2 edge = min(uv, 1.0 - uv);
	if (cell.xz == next && !ceiling && min(edge.x, edge.y) < OUTLINE)
		light *= 0.35;
	light /= 1.0 + FOG * length(ray);

	vec3 texel = texture2DLod(baseTexture, uv, clamp(floor(log2(covered) + 0.5), 0.0, LEVELS - 1.0)).rgb;
	gl_FragColor = vec4(floor(min(texel * light * gain * 255.0, 255.0) + 0.001) / 255.0, 1.0);
}
