FROM busybox:1
RUN <<EOT
echo hello
EOT
