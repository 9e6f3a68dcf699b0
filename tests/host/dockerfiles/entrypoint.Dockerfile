FROM busybox:1
ENTRYPOINT ["/bin/httpd", "-f"]
CMD ["-p", "8080"]
EXPOSE 8080 53/udp
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --timeout=2s CMD wget -q -O- http://127.0.0.1:8080/ || exit 1
