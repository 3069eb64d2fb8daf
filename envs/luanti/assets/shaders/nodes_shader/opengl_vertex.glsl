// Nodes as the embedded world draws them: see the fragment's shader. Lengths are in nodes, relative to the mapblock's corner, so that
// a node fills what lies between two whole numbers.
uniform mat4 mWorld;

const float BS = 10.0; // the engine's units in a node

varying vec3 point;
varying vec3 eye;
varying vec3 ahead;
varying vec3 normal;
varying vec3 gain;

void main(void)
{
	gl_Position = mWorldViewProj * inVertexPosition;
	mat4 view = mWorldView;
	vec3 right = vec3(view[0][0], view[1][0], view[2][0]);
	vec3 up = vec3(view[0][1], view[1][1], view[2][1]);
	ahead = vec3(view[0][2], view[1][2], view[2][2]);
	point = inVertexPosition.xyz / BS + 0.5;
	eye = -(right * view[3][0] + up * view[3][1] + ahead * view[3][2]) / BS + 0.5;
	normal = inVertexNormal;
	// The palette's colour, halved by the engine (127 of 255).
	gain = inVertexColor.rgb * (255.0 / 127.0) * MOST_GAIN;
}
