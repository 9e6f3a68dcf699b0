FROM busybox:1
LABEL org.example.title="A title" version=1
MAINTAINER somebody@example.org
ONBUILD RUN echo later
VOLUME /data
VOLUME ["/more", "/and more"]
RUN echo kept > /kept && mkdir -p /data && echo data > /data/file
