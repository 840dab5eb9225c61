// Corner response from the three window sums of the structure tensor, the twin of _shi_tomasi_row and _harris_row in
// vio/frontend/corners.py: s16 sums in, s32 score out. Purely combinational; a real block would put registers between the root's steps.
module isqrt32 (input [31:0] value, output [15:0] root);
    reg [31:0] rest, result, weight, trial;
    integer i;
    always @* begin
        rest = value;
        result = 0;
        weight = 32'h40000000;
        for (i = 0; i < 16; i = i + 1) begin
            trial = result + weight;
            if (rest >= trial) begin
                rest = rest - trial;
                result = (result >> 1) + weight;
            end else
                result = result >> 1;
            weight = weight >> 2;
        end
    end
    assign root = result[15:0];
endmodule

module corner_score (
    input is_harris,
    input signed [15:0] a, b, c,  // sums of gx gx, gx gy, gy gy
    output signed [31:0] score
);
    wire signed [16:0] total = a + c, difference = a - c;
    wire signed [16:0] mean = total >>> 1, half = difference >>> 1;
    wire signed [31:0] mean_squared = mean * mean;
    wire signed [31:0] determinant = a * c - b * b;
    wire [31:0] radicand = half * half + b * b;
    wire [15:0] root;
    isqrt32 square_root (.value(radicand), .root(root));
    wire signed [31:0] shi_tomasi = mean - $signed({1'b0, root});
    assign score = is_harris ? determinant - (mean_squared >>> 2) : shi_tomasi;
endmodule

module corner_score_bench;
    parameter COUNT = 1;
    reg [48:0] stimulus [0:COUNT - 1];  // is_harris, a, b, c
    reg [48:0] now;
    wire signed [31:0] score;
    corner_score dut (.is_harris(now[48]), .a(now[47:32]), .b(now[31:16]), .c(now[15:0]), .score(score));
    integer i;
    initial begin
        $readmemh("stimulus.hex", stimulus);
        for (i = 0; i < COUNT; i = i + 1) begin
            now = stimulus[i];
            #1 $display("%08x", score);
        end
    end
endmodule
