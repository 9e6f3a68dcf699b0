# escape=`
FROM busybox:1
RUN echo one `
 && echo C:\dir > /path
