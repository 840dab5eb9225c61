"""tinyvio: visual-inertial odometry for tiny robots.

Naming law: `T_WB` maps B to W; W world (z up, gravity (0, 0, -9.81)), B body = IMU, C left camera, R right camera.
Quaternions wxyz, Hamilton; perturbation on the right, R <- R exp(dtheta). Time is `t_ns: int`; `image[row, col]`; uv = (column, row).
"""
